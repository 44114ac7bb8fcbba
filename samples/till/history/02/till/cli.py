"""The command line: ``report`` and ``version``.

Exit codes: 0 done, 2 bad usage or unusable input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from till import __version__
from till.journal import JournalError, read_journal
from till.report import render
from till.settings import SettingsError, load_settings
from till.totals import summarise


def main(arguments: Sequence[str]) -> int:
    """Run one command and return the exit code of the process."""
    options = _parser().parse_args(arguments)
    if options.command == "version":
        print(__version__)
        return 0
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="till", description="Day report of a small shop.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("report", help="print the day report of a journal")
    command.add_argument("file", type=Path, help="journal of one day")
    commands.add_parser("version", help="print the version")
    return parser
