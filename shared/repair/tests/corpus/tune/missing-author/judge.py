import unittest

from library.cards import label


class Judge(unittest.TestCase):
    def test_without_an_author_the_title_stands_alone(self) -> None:
        self.assertEqual(label({"title": "Edda "}), "Edda")
        self.assertEqual(label({"title": "Emma", "author": "Austen"}), "Emma / Austen")
