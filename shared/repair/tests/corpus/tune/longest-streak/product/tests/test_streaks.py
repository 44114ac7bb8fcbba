import unittest

from habits.streaks import badge, longest


class Streaks(unittest.TestCase):
    def test_one_run(self) -> None:
        self.assertEqual(longest([False, True, True, True]), 3)

    def test_badges(self) -> None:
        self.assertEqual(badge([True] * 7), "gold")
        self.assertEqual(badge([True]), "none")
