import unittest

from league.table import means, ranking


class Judge(unittest.TestCase):
    def test_who_has_not_played_is_listed_with_nothing(self) -> None:
        self.assertEqual(means({"a": 0.0, "b": 1.0}, {"a": 0, "b": 2}), {"a": 0.0, "b": 0.5})
        self.assertEqual(ranking({"a": 0.0, "b": 1.0}, {"a": 0, "b": 2}), ["b", "a"])
