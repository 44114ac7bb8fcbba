"""Whether the versions that requests go to have the configuration that was deployed last.

Usage: live.py STACK ENDPOINT LEVEL. Ends with 1 and says which function's alias `live` has another log level.
"""

import sys

import botocore.session

STACK, ENDPOINT, LEVEL = sys.argv[1:]
access = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}
functions = botocore.session.get_session().create_client("lambda", endpoint_url=ENDPOINT, **access)
stale, versions = [], {}
for page in functions.get_paginator("list_functions").paginate():
    for name in (it["FunctionName"] for it in page["Functions"]):
        if name.startswith(f"{STACK}-"):
            live = functions.get_function_configuration(FunctionName=name, Qualifier="live")
            versions[name] = live["Version"]
            if live["Environment"]["Variables"]["KINTSUGI_LOG"] != LEVEL:
                stale.append(name)
if stale or not versions:
    raise SystemExit(f"not so: requests meet what was deployed last; stale: {stale}, of {versions}")
print(f"the alias of each of {len(versions)} functions has the new configuration")
