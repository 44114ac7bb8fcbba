"""Reading journals, good and bad."""

from __future__ import annotations

import json
import tempfile
import unittest
from pathlib import Path

from till.journal import Entry, JournalError, parse_csv, parse_json_lines, read_journal

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

    def test_refuses_a_receipt_that_occurs_twice(self) -> None:
        with self.assertRaisesRegex(JournalError, "receipt R1 occurs twice"):
            parse_json_lines([line(), line(kind="refund")], "day")


class CommaSeparated(unittest.TestCase):
    HEAD = "time,kind,receipt,category,amount_cents,discount_cents"

    def test_reads_the_same_entries(self) -> None:
        entries = parse_csv([self.HEAD, "09:12:40,sale,R1,food,480,30", "09:13:00,void,R2,food,100,"], "day")
        self.assertEqual(
            entries,
            [Entry("09:12:40", "sale", "R1", "food", 480, 30), Entry("09:13:00", "void", "R2", "food", 100, 0)],
        )

    def test_refuses_bad_rows(self) -> None:
        cases = {
            "09:12:40,sale,R1,food,4.80,": "amount_cents must be whole cents, not '4.80'",
            "09:12:40,sale,R1,food,,": "amount_cents must be whole cents",
            "09:12:40,sale": "receipt is missing",
        }
        for text, reason in cases.items():
            with self.subTest(text), self.assertRaisesRegex(JournalError, f"^day:2: {reason}"):
                parse_csv([self.HEAD, text], "day")


class Files(unittest.TestCase):
    def test_the_ending_of_the_name_decides(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "day.jsonl")
            path.write_text(line() + "\n", encoding="utf-8")
            self.assertEqual(len(read_journal(path)), 1)
            other = Path(folder, "day.csv")
            other.write_text(f"{CommaSeparated.HEAD}\n09:12:40,sale,R1,food,480,30\n", encoding="utf-8")
            self.assertEqual(read_journal(other), read_journal(path))

    def test_refuses_unknown_and_missing_files(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "day.txt")
            path.write_text("", encoding="utf-8")
            with self.assertRaisesRegex(JournalError, "expected a name that ends in"):
                read_journal(path)
            with self.assertRaisesRegex(JournalError, "cannot be read"):
                read_journal(Path(folder, "none.jsonl"))


if __name__ == "__main__":
    unittest.main()
