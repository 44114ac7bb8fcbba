"""Crash reports, sent only where somebody asked for them.

Nothing is sent unless ``SENTRY_DSN`` is set and the ``sentry-sdk`` package is installed. Uncaught exceptions
are then reported with the local variables of each frame; the package sends what is pending at exit.
"""

from __future__ import annotations

import os
import sys

from till import __version__


def start() -> bool:
    """Switch crash reports on if this device wants them; return whether they are on.

    A device whose reports cannot be sent still does its work, so nothing here is allowed to fail.
    """
    dsn = os.environ.get("SENTRY_DSN")
    if not dsn:
        return False
    try:
        import sentry_sdk
    except ImportError:
        return False
    try:
        sentry_sdk.init(
            dsn=dsn,
            release=f"till@{__version__}",
            environment=os.environ.get("TILL_ENVIRONMENT", "production"),
            in_app_include=["till"],
            include_local_variables=True,
        )
    except ValueError as error:
        print(f"till: no crash reports: {error}", file=sys.stderr)
        return False
    device = os.environ.get("TILL_DEVICE")
    if device:
        sentry_sdk.set_user({"id": device})
    return True
