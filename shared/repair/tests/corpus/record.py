"""Records `event.json` of a case: runs its `crash.py` under the unmodified `sentry-sdk` (PyPI).

    python3 record.py tune/parcel-zones …

Only what the crate reads is kept: the raised exception with its frames and their variables. Machine paths are cut off.
"""

from __future__ import annotations

import json
import pathlib
import runpy
import sys

import sentry_sdk


def record(case: pathlib.Path) -> None:
    product = case.resolve() / "product"
    package = next(path.name for path in product.iterdir() if path.is_dir() and path.name != "tests")
    kept: list[dict] = []
    sentry_sdk.init(
        dsn="http://key@127.0.0.1:9/1",
        before_send=lambda event, hint: kept.append(event),
        in_app_include=[package],
        default_integrations=False,
    )
    sys.path.insert(0, str(product))
    try:
        runpy.run_path(str(case / "crash.py"), run_name="__main__")
    except Exception as error:  # the crash that the case is about
        sentry_sdk.capture_exception(error)
    sys.path.remove(str(product))
    values = kept[0]["exception"]["values"]
    for value in values:
        frames = [frame for frame in value["stacktrace"]["frames"] if (frame.get("module") or "").startswith(package)]
        for frame in frames:
            frame["abs_path"] = f"/srv/app/{frame['filename']}"
            for part in ("pre_context", "post_context"):
                frame.pop(part, None)
        value["stacktrace"] = {"frames": frames}
    text = json.dumps({"exception": {"values": values}}, indent=2, default=str)
    (case / "event.json").write_text(text + "\n", encoding="utf-8")


for name in sys.argv[1:]:
    record(pathlib.Path(name))
