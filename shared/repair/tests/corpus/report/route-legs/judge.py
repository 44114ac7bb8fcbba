import unittest

from routes.legs import ascent, legs


class Judge(unittest.TestCase):
    def test_every_leg(self) -> None:
        self.assertEqual(legs([1, 3, 2]), [2, -1])
        self.assertEqual(legs([5]), [])
        self.assertEqual(ascent([100, 250, 180, 200]), 170)
