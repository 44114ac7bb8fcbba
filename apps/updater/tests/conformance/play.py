"""Plays every scenario against a client of the conformance suite's interface.

  play.py SCHEME PROGRAM [ARGUMENT ...]

SCHEME is that of the repository's keys. Prints one JSON object: what went wrong by scenario, or null.
"""

import json
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor

import files
import keys
import top
from stage import played


def main():
    scheme, program = sys.argv[1], sys.argv[2:]
    scenarios = {**top.SCENARIOS, **keys.SCENARIOS, **files.SCENARIOS}

    def result(scenario):
        try:
            played(program, scheme, scenario)
        except Exception:
            return traceback.format_exc(limit=4)
        return None

    with ThreadPoolExecutor(4) as pool:
        results = dict(zip(scenarios, pool.map(result, scenarios.values())))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
