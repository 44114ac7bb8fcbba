"""The command line: ``report``, ``health`` and ``version``.

Exit codes: 0 done, 1 the health check failed, 2 bad usage or unusable input. A defect in the program
itself is left to end the process with a traceback, so that it is seen and reported, never swallowed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from till import __version__, telemetry
from till.journal import JournalError, parse_json_lines, read_journal
from till.report import render
from till.settings import Settings, SettingsError, load_settings
from till.totals import summarise

#: A tiny journal with a known outcome, for the health check.
SELF_TEST = (
    '{"time": "08:00", "kind": "sale", "receipt": "T1", "category": "food", "amount_cents": 250}',
    '{"time": "08:01", "kind": "sale", "receipt": "T2", "category": "food", "amount_cents": 175, "discount_cents": 25}',
    '{"time": "08:02", "kind": "refund", "receipt": "T3", "category": "food", "amount_cents": 100}',
    '{"time": "08:03", "kind": "void", "receipt": "T4", "category": "food", "amount_cents": 900}',
)


def main(arguments: Sequence[str]) -> int:
    """Run one command and return the exit code of the process."""
    options = _parser().parse_args(arguments)
    if options.command == "version":
        print(__version__)
        return 0
    if options.command == "health":
        return health()
    telemetry.start()
    return report(options.file)


def report(path: Path) -> int:
    """Print the day report of one journal file."""
    try:
        settings = load_settings()
        entries = read_journal(path)
    except (JournalError, SettingsError) as error:
        print(f"till: {error}", file=sys.stderr)
        return 2
    totals = summarise(entries, settings)
    print(render(totals, settings), end="")
    return 0


def health() -> int:
    """Check that this copy works here, with the settings of this device.

    Prints ``ok``, or the reason on standard error.
    """
    try:
        reason = self_test(load_settings())
    except SettingsError as error:
        reason = str(error)
    if reason is not None:
        print(f"not healthy: {reason}", file=sys.stderr)
        return 1
    print("ok")
    return 0


def self_test(settings: Settings) -> str | None:
    """Run the built-in journal through every part; the reason why the outcome is wrong, if it is."""
    totals = summarise(parse_json_lines(SELF_TEST, "self-test"), settings)
    seen = (totals.sales, totals.refunds, totals.voids, totals.sales_cents, totals.net_cents)
    wanted = (2, 1, 1, 400, 300)
    if seen != wanted:
        return f"the self-test journal adds up to {seen} instead of {wanted}"
    if settings.shop not in render(totals, settings):
        return "the report does not name the shop"
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="till", description="Day report of a small shop.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("report", help="print the day report of a journal")
    command.add_argument("file", type=Path, help="journal of one day, .jsonl or .csv")
    commands.add_parser("health", help="check this installation; prints ok")
    commands.add_parser("version", help="print the version")
    return parser
