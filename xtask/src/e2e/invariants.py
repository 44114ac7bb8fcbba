"""What must be so at the end of the end-to-end run, whatever was killed on the way: nothing lost, nothing twice.

Usage: invariants.py STACK ENDPOINT URL TOKEN_FILE PRODUCTS. Ends with 1 and says what is not so.
"""

import json
import sys
import time
import urllib.request
from pathlib import Path

import botocore.session

STACK, ENDPOINT, URL, TOKEN_FILE, PRODUCTS = sys.argv[1:]
TOKEN = Path(TOKEN_FILE).read_text().strip()
# How long what is under way may take to come to its end.
PATIENCE = 120


def ask(path):
    request = urllib.request.Request(f"{URL}/admin/v1/{path}", headers={"authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def items(project, kind):
    return ask(f"projects/{project}/{kind}")["items"]


def must(so, what):
    if not so:
        raise SystemExit(f"not so: {what}")


def until(look, what):
    """Waits until a look finds nothing to complain about."""
    deadline = time.monotonic() + PATIENCE
    while found := look():
        must(time.monotonic() < deadline, f"{what}: {found}")
        time.sleep(1)


sqs = botocore.session.get_session().create_client(
    "sqs", region_name="us-east-1", endpoint_url=ENDPOINT, aws_access_key_id="test", aws_secret_access_key="test"
)
queues = sqs.list_queues(QueueNamePrefix=STACK).get("QueueUrls", [])
must(queues, "the stack has queues")


def waiting():
    """Queues that are not empty, dead-letter queues among them."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counts = {}
    for queue in queues:
        got = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        if count := sum(int(got.get(name, 0)) for name in names):
            counts[queue.rpartition("/")[2]] = count
    return counts


until(waiting, "every queue comes to its end")
must(ask("parked") == [], "nothing was parked")
projects = ask("projects")
must(len(projects) == int(PRODUCTS), f"there are {PRODUCTS} projects, not {len(projects)}")
for project in (it["id"] for it in projects):
    versions = sorted(it["version"] for it in items(project, "releases"))
    must(versions == ["1.0.0", "1.0.1", "1.1.0"], f"each version was released once: {versions}")
    rollouts = sorted(it["rollout"]["version"] for it in items(project, "rollouts"))
    must(rollouts == versions, f"each version has one rollout: {rollouts}")
    issues = items(project, "issues")
    must(len(issues) == 1, f"one crash is one issue: {issues}")
    counters = ask(f"projects/{project}/counters")
    accepted = counters.get("accepted/error", 0)
    must(issues[0]["events"] == accepted, f"each accepted report is one event of the issue: {counters}, {issues}")
    must(issues[0]["state"] == "resolved", f"the issue is resolved: {issues}")
    fixes = items(project, "fixes")
    must([it["state"] for it in fixes] == ["effective"], f"one fix, and it is effective: {fixes}")
print(f"{PRODUCTS} products: 3 releases each, every accepted report is one event, {len(queues)} queues are empty, nothing is parked")
