"""Reports one of everything through an unmodified Sentry SDK for Python: `python report.py DSN`."""

import sys

import sentry_sdk
from sentry_sdk import logger
from sentry_sdk.crons import monitor

sentry_sdk.init(
    dsn=sys.argv[1],
    release="till@1.2.3",
    environment="test",
    traces_sample_rate=1.0,
    enable_logs=True,
    before_send=lambda event, hint: None if event.get("message") == "unwanted" else event,
)

scope = sentry_sdk.get_isolation_scope()
scope.set_user({"id": "17", "email": "alice@example.org"})
scope.set_extra("password", "hunter2")
scope.add_attachment(bytes=b"alice@example.org logged in\n" * 100, filename="till.log")

scope.start_session()
with sentry_sdk.start_transaction(op="task", name="close the day"):
    try:
        total, count = 10, 0
        total / count
    except ZeroDivisionError:
        sentry_sdk.capture_exception()
scope.end_session()

sentry_sdk.capture_message("unwanted")
logger.warning("card {card} was declined", card="4111 1111 1111 1111")
logger.error("the till is stuck")


@monitor(monitor_slug="nightly")
def nightly():
    pass


nightly()
sentry_sdk.flush(20)
