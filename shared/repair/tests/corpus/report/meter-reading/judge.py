import unittest

from meters.readings import total


class Judge(unittest.TestCase):
    def test_thousands_may_have_commas(self) -> None:
        self.assertEqual(total(["A: 1,000", "B: 12,345,678", "C: 1"]), 12346679)
