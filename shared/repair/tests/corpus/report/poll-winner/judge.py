import unittest

from polls.votes import most_votes, winners


class Judge(unittest.TestCase):
    def test_nobody_stood(self) -> None:
        self.assertEqual(most_votes({}), 0)
        self.assertEqual(winners({}), [])
        self.assertEqual(most_votes({"a": -1}), -1)
