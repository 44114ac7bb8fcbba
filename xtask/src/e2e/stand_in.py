"""What the emulator leaves out of a deployed stack, and a git server for the products.

Usage: stand_in.py STACK ENDPOINT FOLDER REPOSITORY... Prints three lines when all of it runs: the address of the stack's HTTP API,
that of the git server, which has an empty repository of each name, and the name of a file with the home's first admin token. Ends
with its standard input.

- Routes: the emulator drops the routes of SAM's HttpApi events; they are made from the processed template.
- Object Lock: the emulator's CloudFormation does not turn it on for the bucket.
- Address: an HTTP API has a host name of its own, which needs DNS; a proxy on 127.0.0.1 names that host. It also writes down which events clients
  sent and which they got 200 for, in `reports.jsonl` in the folder: what invariants.py compares with what was filed.
- Clock: the emulator's scheduler does not fill in the id and the time of a tick; here the scheduled functions are invoked every
  second, as the local home does; not while there is a file `hold` in the folder.
- Git: `git http-backend` over bare repositories, as a server has it.

Only 127.0.0.1 is listened on.
"""

import gzip
import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError

STACK, ENDPOINT, FOLDER, *REPOSITORIES = sys.argv[1:]
# The functions with a schedule in the template.
SCHEDULED = ["schedule", "rollout", "sign"]


def client(service):
    session = botocore.session.get_session()
    return session.create_client(
        service,
        region_name="us-east-1",
        endpoint_url=ENDPOINT,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 3}, read_timeout=120, s3={"addressing_style": "path"}),
    )


def make_routes():
    """Makes the routes that SAM's template asks for, and gives the API's id."""
    cloudformation, gateway, functions = client("cloudformation"), client("apigatewayv2"), client("lambda")
    template = cloudformation.get_template(StackName=STACK, TemplateStage="Processed")["TemplateBody"]
    described = cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
    physical = {it["LogicalResourceId"]: it["PhysicalResourceId"] for it in described}
    for name, resource in template["Resources"].items():
        body = resource.get("Properties", {}).get("Body")
        if resource["Type"] != "AWS::ApiGatewayV2::Api" or not body:
            continue
        api, integrations = physical[name], {}
        have = {it["RouteKey"] for it in gateway.get_routes(ApiId=api)["Items"]}
        for path, methods in body["paths"].items():
            for method, operation in methods.items():
                wired = operation.get("x-amazon-apigateway-integration")
                verb = "ANY" if method == "x-amazon-apigateway-any-method" else method.upper()
                key = f"{verb} {path}"
                if not wired or key in have:
                    continue
                function = re.search(r"\$\{(\w+)(?:\.\w+)?\}/invocations", wired["uri"]["Fn::Sub"]).group(1)
                if function not in integrations:
                    # The alias `live` is what the template wires; the emulator runs its newest version all the same.
                    configuration = functions.get_function(FunctionName=physical[function])["Configuration"]
                    integrations[function] = gateway.create_integration(
                        ApiId=api,
                        IntegrationType="AWS_PROXY",
                        IntegrationUri=configuration["FunctionArn"],
                        PayloadFormatVersion="2.0",
                    )["IntegrationId"]
                gateway.create_route(ApiId=api, RouteKey=key, Target=f"integrations/{integrations[function]}")
        return api
    raise SystemExit("the stack has no HTTP API")


def lock_bucket():
    """Turns Object Lock on, as the template asks for."""
    described = client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]["Outputs"]
    bucket = next(it["OutputValue"] for it in described if it["OutputKey"] == "BucketName")
    lock = {"ObjectLockEnabled": "Enabled"}
    client("s3").put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=lock)


class Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            whole = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                whole += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return whole
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server", "status"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def events_of(path, headers, body):
    """The project and the ids of the events in a request, or nothing where it is no report."""
    to = re.fullmatch(r"/api/(\d+)/(envelope|store)/", urlsplit(path).path)
    if not to:
        return None
    match headers.get("content-encoding", "identity").lower():
        case "gzip":
            body = gzip.decompress(body)
        case "deflate":
            body = zlib.decompress(body)
    head, _, rest = body.partition(b"\n")
    events = {json.loads(head)["event_id"]} if to[2] == "envelope" and b'"event_id"' in head else set()
    if to[2] == "store":
        events = {json.loads(body)["event_id"]}
    else:
        kinds = set()
        while rest.strip():
            item, _, rest = rest.partition(b"\n")
            item = json.loads(item)
            kinds.add(item["type"])
            if "length" in item:
                rest = rest[item["length"] :].removeprefix(b"\n")
            else:
                rest = rest.partition(b"\n")[2]
        if "event" not in kinds:
            return None
    return int(to[1]), sorted(it.replace("-", "").lower() for it in events)


class Journal:
    """What clients sent, and what they were told."""

    def __init__(self, file):
        self.file, self.lock = file.open("a"), threading.Lock()

    def line(self, about, status):
        if about:
            project, events = about
            with self.lock:
                self.file.write(json.dumps({"project": project, "events": events, "status": status}) + "\n")
                self.file.flush()


def front(api):
    """The API's host name."""
    to = urlsplit(ENDPOINT)
    host = f"{api}.execute-api.localhost:{to.port}"
    journal = Journal(Path(FOLDER) / "reports.jsonl")

    class Front(Quiet):
        def forward(self):
            body = self.body()
            try:
                self.hand_on(body)
            except (OSError, http.client.HTTPException):
                # The gateway's answer when it cannot reach what is behind it.
                self.answer(503, [], b"")

        def hand_on(self, body):
            about = events_of(self.path, self.headers, body) if self.command == "POST" else None
            # Sent, whatever becomes of the answer.
            journal.line(about, None)
            connection = http.client.HTTPConnection(to.hostname, to.port, timeout=120)
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            connection.putheader("host", host)
            for name, value in self.headers.items():
                if name.lower() not in ("host", "connection", "transfer-encoding", "content-length"):
                    connection.putheader(name, value)
            connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            content = answer.read()
            journal.line(about, answer.status)
            self.answer(answer.status, answer.getheaders(), content)
            connection.close()

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = forward

    return serve(Front)


def git():
    """A git server over empty repositories."""
    folder = Path(FOLDER) / "git"
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "PATH": os.environ["PATH"]}
    for name in REPOSITORIES:
        bare = folder / name
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", bare], check=True, env=quiet)
        for setting in ["http.receivepack", "uploadpack.allowFilter"]:
            subprocess.run(["git", "-C", bare, "config", setting, "true"], check=True, env=quiet)

    class Git(Quiet):
        def serve(self):
            at = urlsplit(self.path)
            environment = quiet | {
                "GIT_PROJECT_ROOT": str(folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_PROTOCOL": self.headers.get("git-protocol", ""),
                "REQUEST_METHOD": self.command,
                "PATH_INFO": at.path,
                "QUERY_STRING": at.query,
                "CONTENT_TYPE": self.headers.get("content-type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
                "REMOTE_ADDR": "127.0.0.1",
            }
            body = self.body()
            environment["CONTENT_LENGTH"] = str(len(body))
            ran = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True)
            head, _, content = ran.stdout.partition(b"\r\n\r\n")
            headers = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n") if line]
            status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200)
            self.answer(status, headers, content)

        do_GET = do_POST = serve

    return serve(Git)


def serve(handler):
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


def clock(home):
    """Wakes the scheduled functions every second."""
    functions, number = client("lambda"), 0
    while True:
        time.sleep(1)
        if (Path(FOLDER) / "hold").exists():
            continue
        number += 1
        for stage in SCHEDULED:
            tick = {"id": f"tick-{number}", "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
            try:
                answer = functions.invoke(FunctionName=f"kintsugi-{home}-{stage}", Payload=json.dumps(tick))
            except BotoCoreError as error:
                # The emulator restarts: a tick that is lost is followed by the next.
                print(f"tick of {stage}: {error}", file=sys.stderr, flush=True)
                continue
            if "FunctionError" in answer:
                print(f"tick of {stage}: {answer['Payload'].read().decode()}", file=sys.stderr, flush=True)


def first_token(home):
    """Asks for it as whoever deployed the home does: by invoking the admin function directly."""
    order = json.dumps({"kintsugi": "first_token", "subject": "e2e"})
    answer = client("lambda").invoke(FunctionName=f"kintsugi-{home}-admin", Payload=order)
    payload = json.loads(answer["Payload"].read())
    if "token" not in payload:
        raise SystemExit(f"the admin function gave no first token: {payload}")
    file = Path(FOLDER) / "admin.token"
    file.touch(mode=0o600)
    file.write_text(payload["token"])
    return file


home = STACK.removeprefix("kintsugi-")
lock_bucket()
print(front(make_routes()), git(), first_token(home), sep="\n", flush=True)
threading.Thread(target=clock, args=[home], daemon=True).start()
sys.stdin.read()
os._exit(0)
