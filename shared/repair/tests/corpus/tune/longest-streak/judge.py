import unittest

from habits.streaks import badge, longest


class Judge(unittest.TestCase):
    def test_without_a_good_day_there_is_no_run(self) -> None:
        self.assertEqual(longest([]), 0)
        self.assertEqual(longest([False]), 0)
        self.assertEqual(badge([]), "none")
