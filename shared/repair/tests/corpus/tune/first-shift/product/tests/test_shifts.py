import unittest

from rota.shifts import opener, week

SHIFTS = [("mon", "ida", 9), ("mon", "jo", 7), ("tue", "ida", 8)]


class Shifts(unittest.TestCase):
    def test_the_earliest_opens(self) -> None:
        self.assertEqual(opener("mon", SHIFTS), "jo")

    def test_a_week(self) -> None:
        self.assertEqual(week(["mon", "tue"], SHIFTS), {"mon": "jo", "tue": "ida"})
