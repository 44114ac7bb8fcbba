import unittest

from polls.votes import most_votes, winners


class Votes(unittest.TestCase):
    def test_most(self) -> None:
        self.assertEqual(most_votes({"a": 1, "b": 4}), 4)

    def test_first_places_can_be_shared(self) -> None:
        self.assertEqual(winners({"a": 4, "b": 4, "c": 1}), ["a", "b"])
