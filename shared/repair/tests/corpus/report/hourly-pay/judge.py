import unittest

from pay.hours import compare, hourly


class Judge(unittest.TestCase):
    def test_no_time_is_no_pay(self) -> None:
        self.assertEqual(hourly(500, 0), 0)
        self.assertEqual(compare([("b", 9, 0), ("a", 1, 60)]), ["a", "b"])
