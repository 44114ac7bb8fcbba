import unittest

from seats.labels import row_labels, seat


class Labels(unittest.TestCase):
    def test_label(self) -> None:
        self.assertEqual(seat("c", "12"), "C-12")

    def test_row(self) -> None:
        self.assertEqual(row_labels("a", ["1", "2"]), ["A-1", "A-2"])
