"""Adding up a day."""

from __future__ import annotations

import dataclasses
import unittest

from till.journal import Entry
from till.settings import Settings
from till.totals import TotalsError, average_sale, check, included_tax, permille, summarise

SETTINGS = Settings(tax_rates_bp={"food": 700})
DAY = [
    Entry("08:00:00", "sale", "R1", "food", 1070, 0),
    Entry("08:05:00", "sale", "R2", "drinks", 500, 50),
    Entry("08:09:00", "void", "R3", "drinks", 9900, 0),
    Entry("09:30:00", "sale", "R4", "drinks", 1930, 0),
    Entry("10:00:00", "refund", "R5", "food", 535, 0),
]


class Summarise(unittest.TestCase):
    def test_counts_and_adds_by_kind(self) -> None:
        totals = summarise(DAY, SETTINGS)
        self.assertEqual((totals.sales, totals.refunds, totals.voids), (3, 1, 1))
        self.assertEqual(totals.sales_cents, 1070 + 450 + 1930)
        self.assertEqual(totals.refund_cents, 535)
        self.assertEqual(totals.net_cents, 2915)
        self.assertEqual((totals.smallest_sale_cents, totals.largest_sale_cents), (450, 1930))
        self.assertEqual(totals.average_sale_cents, 1150)

    def test_discounts_are_a_share_of_the_list_prices(self) -> None:
        totals = summarise(DAY, SETTINGS)
        self.assertEqual(totals.discount_cents, 50)
        self.assertEqual(totals.discount_permille, 14)

    def test_categories_are_sorted_and_taxed_at_their_rate(self) -> None:
        drinks, food = summarise(DAY, SETTINGS).categories
        self.assertEqual((drinks.category, drinks.tax_rate_bp, drinks.net_cents), ("drinks", 1900, 2380))
        self.assertEqual(drinks.tax_cents, 380)
        self.assertEqual((food.category, food.tax_rate_bp, food.net_cents), ("food", 700, 535))
        self.assertEqual(food.tax_cents, 35)

    def test_the_order_of_the_entries_does_not_matter(self) -> None:
        self.assertEqual(summarise(reversed(DAY), SETTINGS), summarise(DAY, SETTINGS))

    def test_a_category_may_give_back_more_than_it_takes_in(self) -> None:
        totals = summarise([*DAY, Entry("11:00:00", "refund", "R6", "food", 1070, 0)], SETTINGS)
        food = totals.categories[1]
        self.assertEqual((food.net_cents, food.tax_cents), (-535, -35))


class AverageSale(unittest.TestCase):
    def test_of_one_sale_is_that_sale(self) -> None:
        self.assertEqual(average_sale(1999, 1), 1999)

    def test_is_rounded_half_up(self) -> None:
        self.assertEqual(average_sale(1000, 3), 333)
        self.assertEqual(average_sale(2000, 3), 667)
        self.assertEqual(average_sale(1001, 2), 501)

    def test_of_sales_that_cost_nothing_is_nothing(self) -> None:
        self.assertEqual(average_sale(0, 4), 0)


class Shares(unittest.TestCase):
    def test_permille_is_rounded_half_up(self) -> None:
        self.assertEqual(permille(1, 8), 125)
        self.assertEqual(permille(1, 3), 333)
        self.assertEqual(permille(1, 2000), 1)

    def test_permille_of_nothing_is_zero(self) -> None:
        self.assertEqual(permille(0, 0), 0)

    def test_included_tax(self) -> None:
        self.assertEqual(included_tax(11900, 1900), 1900)
        self.assertEqual(included_tax(1, 1900), 0)
        self.assertEqual(included_tax(-11900, 1900), -1900)
        self.assertEqual(included_tax(500, 0), 0)


class Check(unittest.TestCase):
    def test_refuses_totals_that_contradict_each_other(self) -> None:
        totals = summarise(DAY, SETTINGS)
        with self.assertRaisesRegex(TotalsError, "the categories add up to 2915, the day to 2914"):
            check(dataclasses.replace(totals, sales_cents=totals.sales_cents - 1))
        with self.assertRaisesRegex(TotalsError, "average sale of 2000 is not between"):
            check(dataclasses.replace(totals, average_sale_cents=2000))


if __name__ == "__main__":
    unittest.main()
