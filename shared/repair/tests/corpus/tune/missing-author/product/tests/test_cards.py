import unittest

from library.cards import label, labels


class Cards(unittest.TestCase):
    def test_title_and_author(self) -> None:
        self.assertEqual(label({"title": "Emma ", "author": " Austen"}), "Emma / Austen")

    def test_a_blank_author_is_left_out(self) -> None:
        self.assertEqual(label({"title": "Edda", "author": " "}), "Edda")

    def test_sorted(self) -> None:
        self.assertEqual(labels([{"title": "B", "author": "x"}, {"title": "A", "author": "y"}]), ["A / y", "B / x"])
