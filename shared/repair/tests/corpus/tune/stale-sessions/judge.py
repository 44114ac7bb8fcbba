import unittest

from sessions.store import sweep


class Judge(unittest.TestCase):
    def test_all_stale_ones_go(self) -> None:
        sessions = {"a": 1, "b": 99, "c": 2, "d": 3}
        self.assertEqual(sweep(sessions, 100), 3)
        self.assertEqual(sessions, {"b": 99})
