"""AWS on loopback for one test: MiniStack on a free port of 127.0.0.1, with a clock that can be moved.

Prints its port, then answers each line "advance SECONDS" with "ok". Ends with its standard input.
"""

import asyncio
import os
import socket
import sys
import threading
import time

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(128)
port = listener.getsockname()[1]
os.environ["GATEWAY_PORT"] = str(port)
os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"

# Before anything else is imported, so that whoever asks for the time asks this clock.
real_time, ahead = time.time, 0.0
time.time = lambda: real_time() + ahead

from hypercorn.asyncio import serve  # noqa: E402
from hypercorn.config import Config  # noqa: E402
from ministack.app import app  # noqa: E402


def obey():
    global ahead
    for line in sys.stdin:
        ahead += float(line.removeprefix("advance "))
        print("ok", flush=True)
    os._exit(0)


threading.Thread(target=obey, daemon=True).start()
print(port, flush=True)
config = Config()
config.bind = [f"fd://{listener.fileno()}"]
config.loglevel = "ERROR"
asyncio.run(serve(app, config))
