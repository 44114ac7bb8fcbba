import unittest

from seats.labels import row_labels, seat


class Judge(unittest.TestCase):
    def test_numbers_and_texts(self) -> None:
        self.assertEqual(row_labels("b", [1, "2"]), ["B-1", "B-2"])
        self.assertEqual(seat("d", 0), "D-0")
