"""AWS on loopback for tests: MiniStack on a free port of 127.0.0.1, with a clock that can be moved and faults on demand.

Its state lies in HOME, which has to be a folder of its own. Prints its port, then answers each line with "ok". Ends with its
standard input.

    advance SECONDS   moves the clock, which visibility and delays go by
    throttle SHARE    from now on turns away that share of the requests to DynamoDB, 0 to 1
    kill              kills every function's process, whatever it is doing
    break             the next function of a queue that commits dies in the middle of its batch, in turn of a panic that nothing
                      catches, out of memory and out of time, and in turn after its commit and before it
    broken            waits until each that was broken so has died of it; "ok" only if each of the three was among them
    restart           goes away and comes back at the same address with what it held; functions die, and what was under way
                      is cut. With PERSIST_STATE=1 and S3_PERSIST=1 only
"""

import asyncio
import itertools
import json
import logging
import os
import random
import resource
import signal
import socket
import sys
import threading
import time
from pathlib import Path

# What an emulator that restarts leaves to itself: its listening socket and its clock.
HANDED_ON = "EMULATOR_HANDED_ON"
handed_on = json.loads(os.environ.pop(HANDED_ON, "{}"))
if handed_on:
    listener = socket.socket(fileno=handed_on["socket"])
else:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
port = listener.getsockname()[1]
# The server closes the one that it is given.
kept = os.dup(listener.fileno())
os.environ.update(
    GATEWAY_PORT=str(port),
    AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}",
    BIND_HOST="127.0.0.1",
    MINISTACK_HOST="localhost",
    IOT_MTLS_ENABLED="0",
    SFTP_ENABLED="0",
)
os.environ.setdefault("LOG_LEVEL", "ERROR")
for variable, name in [("TMPDIR", "tmp"), ("STATE_DIR", "state"), ("S3_DATA_DIR", "s3")]:
    place = Path.home() / name
    place.mkdir(exist_ok=True)
    os.environ[variable] = str(place)

# Before anything else is imported, so that whoever asks for the time asks this clock.
real_time, ahead = time.time, handed_on.get("ahead", 0.0)
time.time = lambda: real_time() + ahead

from hypercorn.asyncio import serve  # noqa: E402
from hypercorn.config import Config  # noqa: E402
from ministack.app import app  # noqa: E402
from ministack.services import lambda_svc, sqs  # noqa: E402

received = sqs._receive_messages_for_esm


def gathered(queue, most):
    """What Lambda's poller does: it gathers what functions get from as many answers of a queue as it takes."""
    batch = []
    while len(batch) < most and (more := received(queue, min(10, most - len(batch)))):
        batch += more
    return batch


sqs._receive_messages_for_esm = gathered
concurrency = lambda_svc._sqs_esm_concurrency


def numbered(mapping, *others):
    """A parameter of the stack is text to this emulator, also where it is a number to AWS."""
    if scaling := mapping.get("ScalingConfig"):
        mapping = mapping | {"ScalingConfig": {name: int(value) for name, value in scaling.items()}}
    return concurrency(mapping, *others)


lambda_svc._sqs_esm_concurrency = numbered

throttled = 0.0

# The functions that read queues; those that answer requests have clients that do not ask again.
QUEUE_STAGES = {"triage", "diagnose", "fix", "schedule", "bundle", "sign", "rollout", "rollback", "notify"}
FAULTS = ["panic", "out of memory", "out of time"]
# In turn, with whether it comes before the commit. The one that is to come next, and those that came: fault and process.
turns = itertools.cycle([(fault, before) for before in (False, True) for fault in FAULTS])
armed, broken = [], []


def functions():
    """The emulator's children are the functions' processes."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid():
                yield int(entry.name)
        except (OSError, ValueError):
            # It ended meanwhile.
            pass


def caller(client):
    """The process of the queue's function behind a connection, or nothing."""
    here = f"{client[1]:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    sockets = {f"socket:[{it[9]}]" for it in lines if it[1].endswith(f":{here}") and it[2].endswith(f":{port:04X}")}
    for pid in functions():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            name = next(it for it in environment if it.startswith(b"AWS_LAMBDA_FUNCTION_NAME="))
            if name.decode().rpartition("-")[2] not in QUEUE_STAGES:
                continue
            if any(os.readlink(it) in sockets for it in Path(f"/proc/{pid}/fd").iterdir()):
                return pid
        except (OSError, StopIteration):
            # It ended meanwhile.
            pass
    return None


def inflict(fault, pid):
    broken.append((fault, pid))
    if fault == "panic":
        os.kill(pid, signal.SIGABRT)
    elif fault == "out of time":
        # It does nothing any more, and the emulator ends it when its time is over.
        os.kill(pid, signal.SIGSTOP)
    else:
        # No more than it has and a little: the answer that it gets is more.
        has = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
        resource.prlimit(pid, resource.RLIMIT_AS, (has + 2**20, has + 2**20))


async def answer(send, status, headers, body):
    headers = [(b"content-type", b"application/x-amz-json-1.0"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def breaking(scope, receive, send, fault, before, pid):
    """A commit whose function does not hear of it."""

    async def unheard(_):
        pass

    if before:
        while (await receive()).get("more_body"):
            pass
    else:
        await app(scope, receive, unheard)
    try:
        inflict(fault, pid)
    except OSError:
        # It ended meanwhile; the fault is for the next.
        armed.append((fault, before))
    await answer(send, 500, [], b" " * 2**26)


async def faulty(scope, receive, send):
    """The emulator, behind a DynamoDB that is short of capacity, and below functions that die."""
    if scope["type"] == "http":
        target = dict(scope["headers"]).get(b"x-amz-target", b"")
        if target.startswith(b"DynamoDB_") and random.random() < throttled:
            while (await receive()).get("more_body"):
                pass
            kind = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"
            body = json.dumps({"__type": kind, "message": "throttled by the test"}).encode()
            await answer(send, 400, [], body)
            return
        if armed and target.endswith(b".TransactWriteItems") and (pid := caller(scope["client"])):
            await breaking(scope, receive, send, *armed.pop(), pid)
            return
    await app(scope, receive, send)


def kill_functions():
    for pid in functions():
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            # It ended meanwhile.
            pass


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for_broken():
    """What is wrong with the faults that there were, or "ok"."""
    deadline = time.monotonic() + 90
    while alive := [it for it in broken if is_alive(it[1])]:
        if time.monotonic() > deadline:
            return f"functions live on with their faults: {alive}"
        time.sleep(0.2)
    missing = set(FAULTS) - {fault for fault, _ in broken}
    return f"no function died of {missing}" if missing else "ok"


unsaved = []


class Unsaved(logging.Handler):
    """Hears of state that could not be written or read."""

    def emit(self, record):
        unsaved.append(record.getMessage())


def go_away():
    """Ends what changes state beside the requests, then the server, which writes its state when it ends."""
    from ministack.services import lambda_svc

    lambda_svc._poll_sqs = lambda: False
    kill_functions()
    loop.call_soon_threadsafe(stop.set)


def come_back():
    """Becomes a new process that has this one's socket, standard input and output."""
    if unsaved:
        raise SystemExit(f"the state was not written: {unsaved}")
    kill_functions()
    os.set_inheritable(kept, True)
    os.environ[HANDED_ON] = json.dumps({"socket": kept, "ahead": ahead})
    os.execv(sys.executable, [sys.executable, __file__])


def obey():
    global ahead, throttled
    for line in sys.stdin:
        order, _, amount = line.strip().partition(" ")
        said = "ok"
        if order == "advance":
            ahead += float(amount)
        elif order == "throttle":
            throttled = float(amount)
        elif order == "kill":
            kill_functions()
        elif order == "break":
            if not armed:
                armed.append(next(turns))
        elif order == "broken":
            armed.clear()
            said = wait_for_broken()
            broken.clear()
        elif order == "restart":
            # The next process says "ok", and reads what comes then.
            return go_away()
        else:
            raise SystemExit(f"unknown order: {line}")
        print(said, flush=True)
    os._exit(0)


async def run():
    global loop, stop
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.loglevel = "ERROR"
    config.graceful_timeout = 2
    threading.Thread(target=obey, daemon=True).start()
    print("ok" if handed_on else port, flush=True)
    await serve(faulty, config, shutdown_trigger=stop.wait)


logging.getLogger("persistence").addHandler(Unsaved(level=logging.ERROR))
asyncio.run(run())
come_back()
