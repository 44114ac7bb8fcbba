import unittest

from settings.lines import read


class Judge(unittest.TestCase):
    def test_only_the_first_sign_separates(self) -> None:
        self.assertEqual(read("q = a=1&b=2"), {"q": "a=1&b=2"})
