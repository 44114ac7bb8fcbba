import unittest

from pay.hours import compare, hourly


class Hours(unittest.TestCase):
    def test_hourly(self) -> None:
        self.assertEqual(hourly(1000, 30), 2000)
        self.assertEqual(hourly(1000, -30), 0)

    def test_the_best_paid_come_first(self) -> None:
        self.assertEqual(compare([("a", 100, 60), ("b", 100, 30)]), ["b", "a"])
