import unittest

from rota.shifts import opener, week


class Judge(unittest.TestCase):
    def test_days_without_anybody(self) -> None:
        self.assertEqual(opener("sun", []), "")
        self.assertEqual(week(["sun", "mon"], [("mon", "ida", 9)]), {"sun": "", "mon": "ida"})
