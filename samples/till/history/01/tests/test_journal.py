"""Reading journals, good and bad."""

from __future__ import annotations

import json
import tempfile
import unittest
from pathlib import Path

from till.journal import Entry, JournalError, parse_json_lines, read_journal

SALE = {
    "time": "09:12:40",
    "kind": "sale",
    "receipt": "R1",
    "category": "food",
    "amount_cents": 480,
    "discount_cents": 30,
}


def line(**changes: object) -> str:
    """The line of a sale, with some values changed; ``None`` leaves a key out."""
    record = {**SALE, **changes}
    return json.dumps({key: value for key, value in record.items() if value is not None})


class JsonLines(unittest.TestCase):
    def test_reads_an_entry(self) -> None:
        entries = parse_json_lines([line()], "day")
        self.assertEqual(entries, [Entry("09:12:40", "sale", "R1", "food", 480, 30)])
        self.assertEqual(entries[0].paid_cents, 450)

    def test_the_discount_may_be_left_out(self) -> None:
        (entry,) = parse_json_lines([line(discount_cents=None)], "day")
        self.assertEqual(entry.paid_cents, 480)

    def test_skips_blank_lines_but_counts_them(self) -> None:
        with self.assertRaisesRegex(JournalError, "^day:3: "):
            parse_json_lines([line(), "", "{"], "day")

    def test_refuses_bad_records(self) -> None:
        cases = {
            "[1]": "expected an object",
            line(kind="gift"): "kind must be one of sale, refund, void, not 'gift'",
            line(category=None): "category is missing",
            line(time=912): "time is missing or not text",
            line(amount_cents=4.8): "amount_cents must be whole cents, 0 or more, not 4.8",
            line(amount_cents=-1): "amount_cents must be whole cents, 0 or more, not -1",
            line(amount_cents=True): "amount_cents must be whole cents",
            line(discount_cents=481): "the discount is larger than the amount",
        }
        for text, reason in cases.items():
            with self.subTest(text), self.assertRaisesRegex(JournalError, f"^day:1: .*{reason}"):
                parse_json_lines([text], "day")


class Files(unittest.TestCase):
    def test_reads_a_file(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "day.jsonl")
            path.write_text(line() + "\n", encoding="utf-8")
            self.assertEqual(len(read_journal(path)), 1)

    def test_refuses_a_missing_file(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaisesRegex(JournalError, "cannot be read"):
                read_journal(Path(folder, "none.jsonl"))


if __name__ == "__main__":
    unittest.main()
