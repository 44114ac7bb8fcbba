"""Poison for the deployed home: what no function can handle is parked with its cause, the others are not delayed, and what people
mend is handled after `kintsugi redrive`.

Usage: poison.py STACK ENDPOINT URL TOKEN_FILE KINTSUGI. Ends with 1 and says what is not so. **The clock of the queues is not moved**
meanwhile: whatever went back to its queue would stay hidden for minutes.
"""

import json
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path

import botocore.session
from botocore.config import Config

STACK, ENDPOINT, URL, TOKEN_FILE, KINTSUGI = sys.argv[1:]
HOME = STACK.removeprefix("kintsugi-")
PROJECT = 1
# How long may pass; a message that goes back is hidden for three times as long.
PATIENCE = 120


def client(service):
    return botocore.session.get_session().create_client(
        service,
        region_name="us-east-1",
        endpoint_url=ENDPOINT,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(s3={"addressing_style": "path"}),
    )


sqs, s3, table = client("sqs"), client("s3"), client("dynamodb")
described = client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]["Outputs"]
outputs = {it["OutputKey"]: it["OutputValue"] for it in described}
queues = [it for it in sqs.list_queues(QueueNamePrefix=STACK)["QueueUrls"]]
events = next(it for it in queues if it.endswith(f"{STACK}-events"))


def must(so, what):
    if not so:
        raise SystemExit(f"not so: {what}")


def kintsugi(*arguments):
    command = [KINTSUGI, *arguments, "--home", URL, "--token-file", TOKEN_FILE, "--json"]
    ran = subprocess.run(command, capture_output=True, text=True)
    must(ran.returncode == 0, f"{arguments}: {ran.stdout}{ran.stderr}")
    return json.loads(ran.stdout)


def parked():
    return {it["id"]: it for it in kintsugi("parked")["parked"]}


def envelope(message):
    return {"format": 1, "id": uuid.uuid4().hex, "cause": "e2e", "project": PROJECT, "message": message}


def waiting():
    """Queues with messages that wait or are hidden."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counts = {}
    for queue in queues:
        got = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        if count := sum(int(got.get(name, 0)) for name in names):
            counts[queue.rpartition("/")[2]] = count
    return counts


def settle(what):
    deadline = time.monotonic() + PATIENCE
    while found := waiting():
        must(time.monotonic() < deadline, f"{what}: {found}")
        time.sleep(0.5)


# A batch of no events: JSON's "[]" in a frame of zstd (RFC 8878) with one raw block.
EMPTY = b"\x28\xb5\x2f\xfd\x20\x02\x11\x00\x00[]"


def batch(name):
    return f"events/{PROJECT}/{name}.json.zst"


settle("nothing waits before")
must(parked() == {}, "nothing was parked before")
s3.put_object(Bucket=outputs["BucketName"], Key=batch("e2e-good"), Body=EMPTY)
good = envelope({"type": "reported_batch", "blob": batch("e2e-good")})
# A message of another queue, and one of a batch that is not there.
astray = envelope({"type": "publish", "channel": "stable"})
late = envelope({"type": "reported_batch", "blob": batch("e2e-late")})
bodies = [json.dumps(good), json.dumps(astray), "a secret", json.dumps(late), json.dumps(good)]
entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
sent = sqs.send_message_batch(QueueUrl=events, Entries=entries)["Successful"]
garbage = next(it["MessageId"] for it in sent if it["Id"] == "2")

settle("the poison is set aside and the others are done, at once")
found = parked()
must(set(found) == {astray["id"], late["id"], garbage}, f"the three are listed: {found}")
for id, kind, project, cause in [
    (astray["id"], "publish", PROJECT, "came to the triage stage, which does not read that queue"),
    (late["id"], "reported_batch", PROJECT, batch("e2e-late")),
    (garbage, "unreadable", None, "not an envelope: no JSON at line 1, column 1"),
]:
    it = found[id]
    must((it["queue"], it["kind"], it["project"]) == ("events", kind, project), f"it is listed as it is: {it}")
    must(cause in it["cause"], f"it has its cause: {it}")

headers = {"authorization": f"Bearer {Path(TOKEN_FILE).read_text().strip()}"}
request = urllib.request.Request(f"{URL}/admin/v1/projects/{PROJECT}/alerts", headers=headers)
with urllib.request.urlopen(request, timeout=60) as answer:
    alerts = [it["text"] for it in json.load(answer)["items"] if it["code"] == "message.parked"]
for id in [astray["id"], late["id"]]:
    must(sum(id in text for text in alerts) == 1, f"people are told once of each: {alerts}")

# The fix: the batch is there now, and redrive takes each message to its own queue.
s3.put_object(Bucket=outputs["BucketName"], Key=batch("e2e-late"), Body=EMPTY)
redriven = kintsugi("redrive", "events", "--reason", "the batch is back")
must(redriven["messages"] == 2, f"what is a message goes back: {redriven}")
settle("what was mended is handled")
must(set(parked()) == {garbage}, f"only what is no message stays: {parked()}")

# As the runbook says.
key = {"pk": {"S": "parked#events"}}
lots = table.query(
    TableName=outputs["TableName"],
    KeyConditionExpression="pk = :pk",
    ExpressionAttributeValues={":pk": key["pk"]},
)["Items"]
(lot,) = [it for it in lots if it["sk"]["S"].endswith(garbage)]
table.delete_item(TableName=outputs["TableName"], Key=key | {"sk": lot["sk"]})
must(parked() == {}, "nothing is parked")
print("a poison message of each kind was parked with its cause; what was mended was handled after a redrive")
