"""What the bench has a home do, and what that consumed.

Usage: load.py prepare|measure URL TOKEN-FILE REPOSITORY ENDPOINT FOLDER PRODUCT EVENTS CHECKS.

`prepare` adds the product and publishes its version 1.0.0, for which a runner must be there. `measure` then prints a JSON object: for
each phase how many times the thing was done and what the meters of `counting.py` say.
"""

import concurrent.futures
import http.client
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import botocore.session

sys.path.insert(0, str(Path(__file__).parent.parent))
from reports import envelope

MODE, URL, TOKEN, REPOSITORY, ENDPOINT, FOLDER, PRODUCT, EVENTS, CHECKS = sys.argv[1:]
ISSUES = 10
# Requests at a time in the phase that has several.
TOGETHER = 4
PATIENCE = 900


def asked(path, order=None):
    """The admin API."""
    data = json.dumps(order).encode() if order else None
    headers = {"Authorization": f"Bearer {Path(TOKEN).read_text().strip()}", "Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{URL}/admin/v1/{path}", data, headers)) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{path}: {error.code} {error.read().decode()}") from None


def until(what, is_so):
    end = time.monotonic() + PATIENCE
    while not (found := is_so()):
        if time.monotonic() > end:
            raise SystemExit(f"gave up waiting for {what}")
        time.sleep(0.5)
    return found


def seen(path):
    with urllib.request.urlopen(ENDPOINT + path) as answer:
        return json.load(answer)


def quiet():
    """Waits until nothing runs and nothing waits, three times in a row: a function may just be about to send."""
    calm = 0

    def is_calm():
        nonlocal calm
        busy = seen("/_busy")
        calm = calm + 1 if not busy["running"] and not busy["waiting"] else 0
        return calm >= 3

    until("the queues to run empty", is_calm)


def add_project(repository):
    config = (Path(PRODUCT) / "kintsugi.toml").read_text()
    return asked("projects", {"config": config} | ({"repository": repository} if repository else {}))["project"]


def prepare():
    work = Path(FOLDER) / "work"
    shutil.copytree(PRODUCT, work)
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "Bench"), ("EMAIL", "bench@example.com"))}
    env = who | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "PATH": os.environ["PATH"]}
    for order in (["init", "-q", "-b", "main"], ["add", "--all"], ["commit", "-qm", "The product."], ["push", "-q", REPOSITORY, "main"]):
        subprocess.run(["git", *order], cwd=work, env=env, check=True)
    project = add_project(REPOSITORY)
    asked(f"projects/{project['id']}/releases", {"ref": "main", "version": "1.0.0", "notes": "First."})

    def offered():
        answer = seen_update(project["id"], "0.9.0", "device-0")
        return answer == 200

    until("the release", offered)
    print(json.dumps(project))


def connection():
    to = urlsplit(URL)
    return http.client.HTTPConnection(to.hostname, to.port, timeout=120)


def sent(method, path, body=None, headers=()):
    link = connection()
    link.request(method, path, body, dict(headers))
    answer = link.getresponse()
    answer.read()
    link.close()
    return answer.status


def seen_update(project, version, device):
    return sent("GET", f"/v1/{project}/updates/stable/linux/x86_64/{version}?device={device}")


def mapping(queue, enabled):
    """Has Lambda's poller read a queue or leave it."""
    session = botocore.session.get_session()
    client = session.create_client(
        "lambda", region_name="us-east-1", endpoint_url=ENDPOINT, aws_access_key_id="test", aws_secret_access_key="test")
    for it in client.list_event_source_mappings()["EventSourceMappings"]:
        if it["EventSourceArn"].endswith(f"-{queue}"):
            client.update_event_source_mapping(UUID=it["UUID"], Enabled=enabled)


def reports(project, bodies, together):
    """Sends the reports. Triage begins when all are there, so that its batches are as full as they are under load."""
    key = project["keys"][0]
    headers = {"X-Sentry-Auth": f"Sentry sentry_version=7, sentry_key={key}, sentry_client=bench/1", "Content-Encoding": "gzip",
               "Content-Type": "application/x-sentry-envelope"}

    def one(body):
        status = sent("POST", f"/api/{project['id']}/envelope/", body, headers)
        if status != 200:
            raise SystemExit(f"a report was answered with {status}")

    mapping("events", False)
    with concurrent.futures.ThreadPoolExecutor(together) as pool:
        list(pool.map(one, bodies))
    mapping("events", True)
    until("triage", lambda: not seen("/_busy")["waiting"])


# GB-seconds of an invocation by function, as last told: a function tells of its requests by the hundred.
means = {}


def measured(name, count, work):
    quiet()
    seen("/_meters")
    begun = time.monotonic()
    work()
    quiet()
    print(f"{name}: {count} in {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    meters = seen("/_meters")
    for function, meter in meters.items():
        if meter.get("told invocations"):
            means[function] = meter["told GB-seconds"] / meter["told invocations"]
        if "invocations" in meter:
            meter["GB-seconds"] = meter["invocations"] * means.get(function, 0)
        meter.pop("told GB-seconds", None)
    return {"count": count, "meters": meters}


def checks(project, version, status, number):
    for at in range(number):
        got = seen_update(project["id"], version, f"device-{at}")
        if got != status:
            raise SystemExit(f"an update check was answered with {got}, not {status}")


def ticks():
    session = botocore.session.get_session()
    client = session.create_client(
        "lambda", region_name="us-east-1", endpoint_url=ENDPOINT, aws_access_key_id="test", aws_secret_access_key="test")
    for stage in ("schedule", "rollout", "sign"):
        tick = {"id": "tick-of-the-bench", "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        client.invoke(FunctionName=f"kintsugi-e2e-{stage}", Payload=json.dumps(tick))


def measure():
    released = json.loads((Path(FOLDER) / "project.json").read_text())
    # Without a repository: that an issue is diagnosed is one cost for each issue, not for each report.
    reporting = add_project(None)
    count, number = int(EVENTS), int(CHECKS)
    made = [envelope(at, ISSUES) for at in range(2 * count + ISSUES)]
    bodies = [body for body, _ in made]
    phases = {}
    warm, alone, several = bodies[:ISSUES], bodies[ISSUES:ISSUES + count], bodies[ISSUES + count:]
    phases["issues"] = measured("issues", ISSUES, lambda: reports(reporting, warm, 1))
    phases["events"] = measured("events", count, lambda: reports(reporting, alone, 1))
    phases["events together"] = measured("events together", count, lambda: reports(reporting, several, TOGETHER))
    checks(released, "1.0.0", 204, 3)
    phases["checks"] = measured("checks", number, lambda: checks(released, "1.0.0", 204, number))
    phases["offers"] = measured("offers", number // 5, lambda: checks(released, "0.9.0", 200, number // 5))
    phases["ticks"] = measured("ticks", 1, ticks)
    sizes = {"event": sum(size for _, size in made) / len(made), "sent": sum(map(len, bodies)) / len(bodies)}
    print(json.dumps({"phases": phases, "bytes": sizes, "together": TOGETHER, "issues": ISSUES}))


prepare() if MODE == "prepare" else measure()
