"""What the report looks like."""

from __future__ import annotations

import unittest

from till.journal import Entry
from till.report import money, percent, render
from till.settings import Settings
from till.totals import summarise

SETTINGS = Settings(shop="Pier 3", width=32, tax_rates_bp={"food": 700})

EXPECTED = """\
             Pier 3
           Day report
================================
Sales (2)              14.20 EUR
Refunds (1)            -5.35 EUR
Net                     8.85 EUR
Voids                          1
--------------------------------
Average sale            7.10 EUR
Discounts (7.8 %)       1.20 EUR
--------------------------------
drinks                  3.50 EUR
  tax 19 %              0.56 EUR
food                    5.35 EUR
  tax 7 %               0.35 EUR
================================
Tax included            0.91 EUR
"""


class Render(unittest.TestCase):
    def test_the_whole_report(self) -> None:
        entries = [
            Entry("08:00:00", "sale", "R1", "food", 1070, 0),
            Entry("08:01:00", "sale", "R2", "drinks", 470, 120),
            Entry("08:02:00", "refund", "R3", "food", 535, 0),
            Entry("08:03:00", "void", "R4", "food", 100, 0),
        ]
        self.assertEqual(render(summarise(entries, SETTINGS), SETTINGS), EXPECTED)

    def test_no_line_is_wider_than_the_paper(self) -> None:
        entries = [Entry("08:00:00", "sale", "R1", "a category with quite a long name", 123456789, 0)]
        lines = render(summarise(entries, SETTINGS), SETTINGS).splitlines()
        self.assertEqual(max(len(line) for line in lines), SETTINGS.width)


class Words(unittest.TestCase):
    def test_money(self) -> None:
        self.assertEqual(money(5, SETTINGS), "0.05 EUR")
        self.assertEqual(money(-123405, SETTINGS), "-1,234.05 EUR")
        self.assertEqual(money(0, Settings(currency="CHF")), "0.00 CHF")

    def test_percent(self) -> None:
        self.assertEqual(percent(125), "12.5 %")
        self.assertEqual(percent(7), "0.7 %")


if __name__ == "__main__":
    unittest.main()
