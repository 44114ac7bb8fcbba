"""What the bench has a home do, and what that consumed.

Usage: load.py prepare|measure URL TOKEN-FILE REPOSITORY ENDPOINT FOLDER PRODUCT EVENTS CHECKS.

`prepare` adds the product and publishes its version 1.0.0, for which a runner must be there. `measure` then prints a JSON object: for
each phase how many times the thing was done and what the meters of `counting.py` say.
"""

import concurrent.futures
import gzip
import http.client
import inspect
import json
import os
import random
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import botocore.session

MODE, URL, TOKEN, REPOSITORY, ENDPOINT, FOLDER, PRODUCT, EVENTS, CHECKS = sys.argv[1:]
EVENT_BYTES = 48 * 1024
ISSUES = 10
# Requests at a time in the phase that has several.
TOGETHER = 4
PATIENCE = 900
dice = random.Random(7)
# Source lines of a stack are people's code, which compresses as such: that of the standard library.
SOURCE = [line for module in (http.client, inspect, shutil, subprocess) for line in inspect.getsource(module).splitlines() if line.strip()]


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


def word():
    return "".join(dice.choices("abcdefghijklmnopqrstuvwxyz_", k=dice.randint(3, 11)))


def printed():
    """A variable as a service has them: an id, a row, a flag."""
    return dice.choice([
        lambda: repr(str(uuid.UUID(int=dice.getrandbits(128)))),
        lambda: repr({"id": dice.randint(1, 10**6), "state": dice.choice(["open", "paid", "sent"]), "total": dice.randint(1, 10**5)}),
        lambda: str(dice.random() < 0.5),
        lambda: f"<{word().title()} object at 0x{dice.getrandbits(40):012x}>",
    ])()


def frame(issue, number):
    # The stack is the issue's, what was printed is the event's.
    at = (int(issue.rpartition("_")[2]) * 211 + number * 37) % (len(SOURCE) - 11)
    lines = SOURCE[at:at + 11]
    return {
        "filename": f"shop/{issue}/part_{number}.py",
        "abs_path": f"/srv/shop/{issue}/part_{number}.py",
        "module": f"shop.{issue}.part_{number}",
        "function": f"step_{number}",
        "lineno": 40 + number,
        "in_app": number % 3 > 0,
        "pre_context": lines[:5],
        "context_line": lines[5],
        "post_context": lines[6:],
        "vars": {f"{name}_{number % 7}": printed() for name in ("self", "order", "row", "key", "cursor", "total", "done", "reply")},
    }


def event(number):
    """A service's error: a stack with source lines and printed variables, breadcrumbs, a request."""
    issue = f"module_{number % ISSUES}"
    made = {
        "event_id": uuid.UUID(int=dice.getrandbits(128)).hex,
        "timestamp": time.time(),
        "platform": "python",
        "level": "error",
        "release": "shop@1.0.0",
        "environment": "production",
        "exception": {"values": [{
            "type": f"Broken{number % ISSUES}",
            "value": f"no {word()} for {word()}",
            "mechanism": {"type": "excepthook", "handled": False},
            "stacktrace": {"frames": [frame(issue, at) for at in range(22)]},
        }]},
        "request": {"url": f"https://shop.example/{word()}", "method": "POST", "headers": {"Host": "shop.example", "Accept": "*/*", "X-Request-Id": f"{dice.getrandbits(128):032x}"}},
        "breadcrumbs": {"values": []},
    }
    crumbs, size = made["breadcrumbs"]["values"], len(json.dumps(made))
    while size < EVENT_BYTES:
        what = dice.choice(["query", "http", "cache"])
        message = f"SELECT id, state, total FROM {what}s WHERE id = {dice.randint(1, 10**6)} AND state = 'open' ORDER BY total"
        crumb = {"timestamp": time.time() - dice.random() * 60, "type": "default", "level": "info", "category": what, "message": message,
                 "data": {"milliseconds": dice.randint(1, 900), "rows": dice.randint(0, 50), "status_code": dice.choice([200, 204, 404])}}
        size += len(json.dumps(crumb)) + 2
        crumbs.append(crumb)
    return made


def envelope(number):
    made = event(number)
    payload = json.dumps(made).encode()
    head = json.dumps({"event_id": made["event_id"]}).encode()
    item = json.dumps({"type": "event", "length": len(payload)}).encode()
    return gzip.compress(b"\n".join([head, item, payload]), 6), len(payload)


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


def measured(name, count, work):
    quiet()
    seen("/_meters")
    begun = time.monotonic()
    work()
    quiet()
    print(f"{name}: {count} in {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    return {"count": count, "meters": seen("/_meters")}


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
    made = [envelope(at) for at in range(2 * count + ISSUES)]
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
