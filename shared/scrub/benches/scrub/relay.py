"""What sentry-relay makes of the same corpus and the same events: text in, text out, one thread."""

import importlib.metadata
import json
import platform
import statistics
import sys
import time

from sentry_relay.processing import convert_datascrubbing_config, pii_strip_event

# What a new project in Sentry gets, with addresses scrubbed as well.
DEFAULT = convert_datascrubbing_config(
    {"scrubData": True, "scrubDefaults": True, "scrubIpAddresses": True, "sensitiveFields": [], "excludeFields": []}
)
# Every built-in rule that names a kind of data on this list, on every field, exception values included.
# Left out: imei and uuid, which can only take away what must stay.
WIDEST = {"applications": {"**": ["@common", "@mac", "@bearer"]}}


def same(text):
    """Texts stay texts: Python's own JSON is not to be measured."""
    return text


def strip(config, line):
    return pii_strip_event(config, line, json_dumps=same, json_loads=same)


def main(folder, seconds):
    with open(f"{folder}/corpus.jsonl", encoding="utf-8") as file:
        corpus = file.read().split("\n")
    with open(f"{folder}/events.jsonl", encoding="utf-8") as file:
        events = file.read().split("\n")
    speed = {}
    for name, config in [("default", json.dumps(DEFAULT)), ("widest", json.dumps(WIDEST))]:
        with open(f"{folder}/relay-{name}.jsonl", "w", encoding="utf-8") as file:
            file.write("\n".join(strip(config, line) for line in corpus))
        wall, processor = [], []
        until = time.perf_counter() + seconds
        while len(wall) < 5 or time.perf_counter() < until:
            start, busy = time.perf_counter(), time.process_time()
            for line in events:
                strip(config, line)
            wall.append(time.perf_counter() - start)
            processor.append(time.process_time() - busy)
        speed[name] = {
            "events_per_second": len(events) / statistics.median(wall),
            "events_per_processor_second": len(events) / statistics.median(processor),
            "rounds": len(wall),
        }
    versions = {"sentry-relay": importlib.metadata.version("sentry-relay"), "python": platform.python_version()}
    print(json.dumps({"versions": versions, "speed": speed}))


main(sys.argv[1], float(sys.argv[2]))
