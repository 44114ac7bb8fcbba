"""AWS on loopback for tests: MiniStack on a free port of 127.0.0.1, with a clock that can be moved and faults on demand.

Its state lies in HOME, which has to be a folder of its own. Prints its port, then answers each line with "ok". Ends with its
standard input.

    advance SECONDS   moves the clock, which visibility and delays go by
    throttle SHARE    from now on turns away that share of the requests to DynamoDB, 0 to 1
    kill              kills every function's process, whatever it is doing
"""

import asyncio
import json
import os
import random
import signal
import socket
import sys
import threading
import time
from pathlib import Path

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(128)
port = listener.getsockname()[1]
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
real_time, ahead = time.time, 0.0
time.time = lambda: real_time() + ahead

from hypercorn.asyncio import serve  # noqa: E402
from hypercorn.config import Config  # noqa: E402
from ministack.app import app  # noqa: E402


throttled = 0.0


async def faulty(scope, receive, send):
    """The emulator, behind a DynamoDB that is short of capacity."""
    if scope["type"] == "http" and random.random() < throttled:
        if dict(scope["headers"]).get(b"x-amz-target", b"").startswith(b"DynamoDB_"):
            while (await receive()).get("more_body"):
                pass
            kind = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"
            body = json.dumps({"__type": kind, "message": "throttled by the test"}).encode()
            headers = [(b"content-type", b"application/x-amz-json-1.0"), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 400, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
    await app(scope, receive, send)


def kill_functions():
    """The emulator's children are the functions' processes."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid():
                os.kill(int(entry.name), signal.SIGKILL)
        except (OSError, ValueError):
            # It ended meanwhile.
            pass


def obey():
    global ahead, throttled
    for line in sys.stdin:
        order, _, amount = line.strip().partition(" ")
        if order == "advance":
            ahead += float(amount)
        elif order == "throttle":
            throttled = float(amount)
        elif order == "kill":
            kill_functions()
        else:
            raise SystemExit(f"unknown order: {line}")
        print("ok", flush=True)
    os._exit(0)


threading.Thread(target=obey, daemon=True).start()
print(port, flush=True)
config = Config()
config.bind = [f"fd://{listener.fileno()}"]
config.loglevel = "ERROR"
asyncio.run(serve(faulty, config))
