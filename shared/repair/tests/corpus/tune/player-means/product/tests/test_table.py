import unittest

from league.table import means, ranking


class Table(unittest.TestCase):
    def test_points_per_game(self) -> None:
        self.assertEqual(means({"ada": 3.0, "bo": 1.0}, {"ada": 4, "bo": 1}), {"ada": 0.75, "bo": 1.0})

    def test_the_best_come_first(self) -> None:
        self.assertEqual(ranking({"ada": 3.0, "bo": 1.0}, {"ada": 4, "bo": 1}), ["bo", "ada"])
