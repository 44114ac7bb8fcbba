"""Reports as a Python service's SDK sends them: 48 KB of event each, gzip.

Usage: reports.py COUNT ISSUES FILE writes COUNT of them, spread over ISSUES issues: before each, its length as four bytes, the
largest first.
"""

import gzip
import http.client
import inspect
import json
import random
import shutil
import subprocess
import sys
import time
import uuid

EVENT_BYTES = 48 * 1024
dice = random.Random(7)
# Source lines of a stack are people's code, which compresses as such: that of the standard library.
SOURCE = [line for module in (http.client, inspect, shutil, subprocess) for line in inspect.getsource(module).splitlines() if line.strip()]


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


def event(number, issues):
    """A service's error: a stack with source lines and printed variables, breadcrumbs, a request."""
    issue = f"module_{number % issues}"
    made = {
        "event_id": uuid.UUID(int=dice.getrandbits(128)).hex,
        "timestamp": time.time(),
        "platform": "python",
        "level": "error",
        "release": "shop@1.0.0",
        "environment": "production",
        "exception": {"values": [{
            "type": f"Broken{number % issues}",
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


def envelope(number, issues):
    """The report as a client sends it, and the bytes of its event before that."""
    made = event(number, issues)
    payload = json.dumps(made).encode()
    head = json.dumps({"event_id": made["event_id"]}).encode()
    item = json.dumps({"type": "event", "length": len(payload)}).encode()
    return gzip.compress(b"\n".join([head, item, payload]), 6), len(payload)


if __name__ == "__main__":
    count, issues = int(sys.argv[1]), int(sys.argv[2])
    with open(sys.argv[3], "wb") as out:
        for number in range(count):
            body, _ = envelope(number, issues)
            out.write(len(body).to_bytes(4, "big") + body)
