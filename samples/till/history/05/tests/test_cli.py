"""The commands, as a person runs them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from tests.test_settings import RECORD
from till import __version__
from till.cli import main

LINES = (
    '{"time": "08:00:00", "kind": "sale", "receipt": "R1", "category": "food", "amount_cents": 1070}\n'
    '{"time": "08:02:00", "kind": "refund", "receipt": "R2", "category": "food", "amount_cents": 535}\n'
)


class Commands(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.settings = self.folder / "settings.json"
        self.settings.write_text(json.dumps(RECORD), encoding="utf-8")

    def run_main(self, *arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with mock.patch.dict(os.environ, {"TILL_SETTINGS": str(self.settings)}):
            os.environ.pop("SENTRY_DSN", None)
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main(arguments)
        return code, out.getvalue(), err.getvalue()

    def test_report(self) -> None:
        journal = self.folder / "day.jsonl"
        journal.write_text(LINES, encoding="utf-8")
        code, out, err = self.run_main("report", str(journal))
        self.assertEqual((code, err), (0, ""))
        self.assertIn("Harbour kiosk", out)
        self.assertRegex(out, r"Average sale +10\.70 EUR")
        self.assertRegex(out, r"Net +5\.35 EUR")

    def test_report_of_an_unusable_journal(self) -> None:
        journal = self.folder / "day.jsonl"
        journal.write_text("oops\n", encoding="utf-8")
        code, out, err = self.run_main("report", str(journal))
        self.assertEqual((code, out), (2, ""))
        self.assertRegex(err, r"^till: .*day\.jsonl:1: not JSON")

    def test_version(self) -> None:
        self.assertEqual(self.run_main("version"), (0, f"{__version__}\n", ""))
        self.assertTrue(re.fullmatch(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", __version__), __version__)

    def test_a_command_is_needed(self) -> None:
        with self.assertRaises(SystemExit) as stopped:
            self.run_main()
        self.assertEqual(stopped.exception.code, 2)


if __name__ == "__main__":
    unittest.main()
