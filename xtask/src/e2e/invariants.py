"""What must be so at the end of the end-to-end run, whatever was killed on the way: nothing lost, nothing twice.

Usage: invariants.py STACK ENDPOINT URL TOKEN_FILE PRODUCTS. Ends with 1 and says what is not so.

Lost and twice are judged by what clients saw: the file `reports.jsonl` beside this script, which the proxy before the home writes, has the id
of each event that was sent and of each that was answered with 200. The ids that were filed are read from the table itself.
"""

import json
import re
import sys
import time
import urllib.request
from collections import defaultdict
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
session = botocore.session.get_session()
access = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}
dynamodb = session.create_client("dynamodb", endpoint_url=ENDPOINT, **access)
stacks = session.create_client("cloudformation", endpoint_url=ENDPOINT, **access)
outputs = {it["OutputKey"]: it["OutputValue"] for it in stacks.describe_stacks(StackName=STACK)["Stacks"][0]["Outputs"]}
filed, sent, answered = defaultdict(list), defaultdict(set), defaultdict(set)
for page in dynamodb.get_paginator("scan").paginate(TableName=outputs["TableName"], ConsistentRead=True):
    for item in page["Items"]:
        # As shared/adapters-aws/src/store.rs makes them.
        if parts := re.fullmatch(r"record#(\d+)#event#\d+", item["pk"]["S"]):
            filed[int(parts[1])].append(item["sk"]["S"])
for line in Path(__file__).with_name("reports.jsonl").read_text().splitlines():
    line = json.loads(line)
    sent[line["project"]].update(line["events"])
    if line["status"] == 200:
        answered[line["project"]].update(line["events"])


def nothing_lost_nothing_twice(project):
    """Every event that a client got 200 for was filed, once, and nothing was filed that nobody sent."""
    have = set(filed[project])
    must(answered[project], f"project {project}: a client got 200")
    lost = answered[project] - have
    must(not lost, f"project {project}: what a client got 200 for was filed; {len(lost)} of {len(answered[project])} were not: {sorted(lost)}")
    invented = have - sent[project]
    must(not invented, f"project {project}: what was filed was sent: {sorted(invented)}")
    issues, counters = items(project, "issues"), ask(f"projects/{project}/counters")
    must(len(issues) == 1, f"one crash is one issue: {issues}")
    counts = {issues[0]["events"], counters.get("accepted/error", 0), len(have), len(filed[project])}
    must(len(counts) == 1, f"project {project}: each event counts once: {counts}: {counters}, {issues}")
    return issues[0]


projects = ask("projects")
reported = [it["id"] for it in projects if it["name"] == "reports"]
products = [it["id"] for it in projects if it["name"] != "reports"]
must(len(products) == int(PRODUCTS), f"there are {PRODUCTS} products, not {len(products)}")
must(len(reported) == 1, f"one project is only reported to: {projects}")
for project in reported:
    nothing_lost_nothing_twice(project)
for project in products:
    versions = sorted(it["version"] for it in items(project, "releases"))
    must(versions == ["1.0.0", "1.0.1", "1.1.0"], f"each version was released once: {versions}")
    rollouts = sorted(it["rollout"]["version"] for it in items(project, "rollouts"))
    must(rollouts == versions, f"each version has one rollout: {rollouts}")
    issue = nothing_lost_nothing_twice(project)
    must(issue["state"] == "resolved", f"the issue is resolved: {issue}")
    fixes = items(project, "fixes")
    must([it["state"] for it in fixes] == ["effective"], f"one fix, and it is effective: {fixes}")
told = sum(map(len, answered.values()))
unsure = sum(len(set(filed[it]) - answered[it]) for it in filed)
print(f"{PRODUCTS} products: 3 releases each, {len(queues)} queues are empty, nothing is parked")
print(f"all {told} events that clients got 200 for were filed, each once; so were {unsure} of {sum(map(len, sent.values()))} sent whose answer was lost")
