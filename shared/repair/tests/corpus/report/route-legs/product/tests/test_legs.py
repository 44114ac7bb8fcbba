import unittest

from routes.legs import ascent, legs


class Legs(unittest.TestCase):
    def test_nowhere(self) -> None:
        self.assertEqual(legs([]), [])
        self.assertEqual(ascent([]), 0)
