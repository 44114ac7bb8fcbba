"""The tests' emulator with meters: everything that AWS would bill is counted, by the function that caused it.

Usage: counting.py EMULATOR. Runs that script as it is, with this around the emulator:

- A function signs with its own name, so that each request to AWS has a cause. Requests of others are not counted, and those of `admin`
  are not either: the emulator refuses links that it signs with a name.
- DynamoDB is asked for what each write consumed (`ReturnConsumedCapacity`), which the emulator computes as AWS does; units of reads are
  computed here from the items that came back, because the emulator counts every read as one. What the parts of a transaction
  consumed is computed from their items.
- Lambda's poller makes no requests in the emulator: for each batch that a function gets, one receive for every ten messages and one
  deletion for every ten are counted, in chunks of 64 KB.

`GET /_meters` gives what was counted since the last time, `GET /_busy` the number of waiting messages and running functions.
"""

import json
import math
import re
import runpy
import sys
import threading
import time
from collections import defaultdict

import hypercorn.asyncio

CHUNK = 64 * 1024
# One line of the HTTP API's access log, in the form that the template gives it.
ACCESS_LOG = 185

lock = threading.Lock()
meters = defaultdict(lambda: defaultdict(float))
running = 0


def count(function, line, amount=1.0):
    with lock:
        meters[function][line] += amount


def chunks(size):
    return max(1, math.ceil(size / CHUNK))


def purpose(key):
    """What an item is for, by its partition; see `shared/adapters-aws/src/store.rs`."""
    parts = key.get("pk", {}).get("S", "").split("#")
    return f"record {parts[2]}" if parts[0] == "record" and len(parts) > 2 else parts[0]


def size(item):
    from ministack.services import dynamodb

    return dynamodb._item_size_bytes(item)


def write_units(item):
    return max(1, math.ceil(size(item) / 1024))


def read_units(bytes_read, consistent):
    return max(1, math.ceil(bytes_read / 4096)) * (1.0 if consistent else 0.5)


def consumed(answer):
    found = answer.get("ConsumedCapacity") or []
    found = found if isinstance(found, list) else [found]
    return sum(it.get("CapacityUnits", 0.0) for it in found)


def table(function, action, asked, status, answer):
    """DynamoDB."""
    count(function, f"call DynamoDB {action}")
    if action == "TransactWriteItems":
        total, parts = consumed(answer), 0.0
        for step in asked["TransactItems"]:
            [(kind, step)] = step.items()
            item = step.get("Item") or step.get("Key") or {}
            units = 2.0 * (write_units(item) if kind == "Put" else 1)
            parts += units
            count(function, f"write {purpose(item)}" if status == 200 else "write failed", units)
        if status == 200:
            count(function, "write indexes", total - parts)
    elif action in ("PutItem", "UpdateItem", "DeleteItem"):
        item = asked.get("Item") or asked.get("Key")
        name = "remove" if action == "DeleteItem" else "write"
        count(function, f"{name} {purpose(item)}", consumed(answer) if status == 200 else write_units(item))
    elif action == "Query":
        items = answer.get("Items", [])
        values = asked.get("ExpressionAttributeValues", {}).values()
        partition = next((it["S"] for it in values if "#" in it.get("S", "")), "projects")
        what = "an index" if "IndexName" in asked else purpose({"pk": {"S": partition}})
        count(function, f"read {what}", read_units(sum(map(size, items)), asked.get("ConsistentRead")))
    elif action == "GetItem":
        count(function, f"read {purpose(asked['Key'])}", read_units(size(answer.get("Item", {})), asked.get("ConsistentRead")))
    elif action == "BatchGetItem":
        for name, wanted in asked["RequestItems"].items():
            found = answer.get("Responses", {}).get(name, [])
            sizes = {(it["pk"]["S"], it["sk"]["S"]): size(it) for it in found}
            for key in wanted["Keys"]:
                units = read_units(sizes.get((key["pk"]["S"], key["sk"]["S"]), 0), wanted.get("ConsistentRead"))
                count(function, f"read {purpose(key)}", units)
    else:
        raise SystemExit(f"no meter for DynamoDB {action}")


def queue(function, action, asked):
    """SQS."""
    count(function, f"call SQS {action}")
    entries = asked.get("Entries") or [asked]
    payload = sum(len(it.get("MessageBody", "").encode()) for it in entries)
    count(function, "queue send" if action.startswith("Send") else "queue other", chunks(payload))


async def metered(app, scope, receive, send):
    if scope["type"] != "http":
        return await app(scope, receive, send)
    headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
    if scope["path"] in ("/_meters", "/_busy"):
        return await answer(scope["path"], send)
    body, more = b"", True
    while more:
        part = await receive()
        body, more = body + part.get("body", b""), part.get("more_body", False)
    caller = re.search(r"Credential=(kintsugi-[a-z0-9]+-[a-z]+)/", headers.get("authorization", ""))
    function = caller.group(1).rpartition("-")[2] if caller else None
    target = headers.get("x-amz-target", "")
    action = target.rpartition(".")[2]
    is_table = function and target.startswith("DynamoDB_")
    if is_table and "Write" in action or is_table and action in ("PutItem", "UpdateItem", "DeleteItem"):
        body = json.dumps(json.loads(body) | {"ReturnConsumedCapacity": "TOTAL"}).encode()
        changed = [it for it in scope["headers"] if it[0].lower() not in (b"content-length", b"x-amz-checksum-crc32")]
        scope = scope | {"headers": [*changed, (b"content-length", str(len(body)).encode())]}
    given, heard = [body], {"status": 0, "bytes": 0, "body": b""}

    async def replay():
        return {"type": "http.request", "body": given.pop(), "more_body": False} if given else await receive()

    async def listen(message):
        if message["type"] == "http.response.start":
            heard["status"] = message["status"]
            heard["bytes"] += sum(len(name) + len(value) + 4 for name, value in message.get("headers", []))
        else:
            heard["bytes"] += len(message.get("body", b""))
            if is_table:
                heard["body"] += message.get("body", b"")
        await send(message)

    await app(scope, replay, listen)
    if ".execute-api." in headers.get("host", ""):
        count("http", "http requests", math.ceil(max(1, len(body)) / (512 * 1024)))
        count("http", "http bytes out", heard["bytes"])
        count("http", "log bytes", ACCESS_LOG)
    elif is_table:
        table(function, action, json.loads(body), heard["status"], json.loads(heard["body"] or b"{}"))
    elif function and target.startswith("AmazonSQS."):
        queue(function, action, json.loads(body))
    elif function and target:
        count(function, f"call {target}")
        kind = "kms sign" if target == "TrentService.Sign" else "kms other" if "Trent" in target else "secrets"
        count(function, kind)
    elif function:
        kind = "read" if scope["method"] in ("GET", "HEAD") else "write"
        count(function, f"blob {kind}")
        count(function, f"call S3 {scope['method']}")


async def answer(path, send):
    from ministack.services import sqs

    if path == "/_meters":
        with lock:
            said = {name: dict(lines) for name, lines in meters.items()}
            meters.clear()
    else:
        # What waits for a function, in every queue; jobs wait for runners.
        waiting = sum(len(it["messages"]) for key, it in sqs._queues._data.items() if not key[2].endswith("-jobs"))
        said = {"running": running, "waiting": waiting}
    body = json.dumps(said).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


def meter_functions():
    from ministack.services import lambda_svc

    run, environment = lambda_svc._execute_function_dispatch, lambda_svc._provided_worker_env

    def signing(config, *rest):
        if config["FunctionName"].endswith("-admin"):
            return environment(config, *rest)
        return environment(config, *rest) | {"AWS_ACCESS_KEY_ID": config["FunctionName"], "AWS_SECRET_ACCESS_KEY": "test"}

    def dispatched(func, config, event, *rest):
        global running
        function = config["FunctionName"].rpartition("-")[2]
        with lock:
            running += 1
        begun = time.monotonic()
        try:
            result = run(func, config, event, *rest)
        finally:
            with lock:
                running -= 1
        wall = (time.monotonic() - begun) * 1000
        log = result.get("log") or ""
        # Of the process itself; what the emulator needs to hand the event over is not the function's.
        # Lambda writes no lines of its own below WARN. Requests are told by the hundred, so `load.py` takes their mean.
        own = [int(it) + 1 for told in re.findall(r'"Duration":\[?([\d,]+)\]?\}', log) for it in told.split(",")]
        count(function, "invocations")
        count(function, "told invocations", len(own))
        count(function, "milliseconds", sum(own))
        count(function, "wall milliseconds", wall)
        count(function, "told GB-seconds", sum(own) / 1000 * config.get("MemorySize", 128) / 1024)
        count(function, "log bytes", len(log.encode()))
        if result.get("error"):
            count(function, "failed invocations")
        records = event.get("Records", []) if isinstance(event, dict) else []
        if records and records[0].get("eventSource") == "aws:sqs":
            count(function, "messages", len(records))
            payload = sum(len(it["body"].encode()) for it in records)
            calls = math.ceil(len(records) / 10)
            count(function, "queue receive", max(calls, chunks(payload)))
            count(function, "queue delete", calls)
        return result

    lambda_svc._execute_function_dispatch = dispatched
    lambda_svc._provided_worker_env = signing


serve = hypercorn.asyncio.serve


def serve_metered(app, config, **rest):
    meter_functions()

    async def whole(scope, receive, send):
        await metered(app, scope, receive, send)

    return serve(whole, config, **rest)


hypercorn.asyncio.serve = serve_metered
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
