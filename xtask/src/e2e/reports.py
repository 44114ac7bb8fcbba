"""A client that reports without end while the home has faults: what it was told is compared with what was filed (invariants.py).

Usage: reports.py STACK ENDPOINT URL TOKEN_FILE. Prints a line when it has begun, and reports until it is killed. As clients do, it sends again
what had no answer; besides, it sends some of what was accepted again, which must count once. All its events are one issue of a project of its
own, which has no repository and so is never fixed or released.
"""

import itertools
import json
import random
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections import deque
from pathlib import Path

_, _, URL, TOKEN_FILE = sys.argv[1:]
TOKEN = Path(TOKEN_FILE).read_text().strip()
NAME = "reports"
CONFIG = f"""[product]
name = "{NAME}"
language = "python"
[test]
command = ["python3", "-c", "pass"]
[package]
include = ["x"]
[health]
command = ["python3", "-c", "pass"]
"""
PAUSE = 0.25


def ask(path, body=None):
    """Asks until there is an answer: functions are killed, and people would try again."""
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    for _ in range(60):
        request = urllib.request.Request(f"{URL}/admin/v1/{path}", data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise
        except OSError:
            pass
        time.sleep(1)
    raise SystemExit(f"no answer: {path}")


def project():
    named = [it for it in ask("projects") if it["name"] == NAME]
    found = named[0]["id"] if named else ask("projects", {"config": CONFIG})["project"]["id"]
    return found, ask(f"projects/{found}")["keys"][0]


def accepted(event):
    body = json.dumps({"event_id": event, "level": "error", "message": "a report of the run with faults"})
    envelope = f'{{"event_id":"{event}"}}\n{{"type":"event","length":{len(body)}}}\n{body}\n'
    request = urllib.request.Request(f"{URL}/api/{id}/envelope/?sentry_key={key}", data=envelope.encode())
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status == 200
    except OSError:
        # HTTP errors are among them.
        return False


id, key = project()
print("begun", flush=True)
unanswered, answered = deque(), deque(maxlen=50)
for number in itertools.count():
    if unanswered and number % 3 == 0:
        event = unanswered.popleft()
    elif answered and number % 5 == 0:
        event = random.choice(answered)
    else:
        event = uuid.uuid4().hex
    (answered if accepted(event) else unanswered).append(event)
    time.sleep(PAUSE)
