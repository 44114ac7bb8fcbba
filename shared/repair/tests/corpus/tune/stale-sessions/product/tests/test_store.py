import unittest

from sessions.store import sweep


class Store(unittest.TestCase):
    def test_fresh_sessions_stay(self) -> None:
        sessions = {"a": 95, "b": 99}
        self.assertEqual(sweep(sessions, 100), 0)
        self.assertEqual(sessions, {"a": 95, "b": 99})
