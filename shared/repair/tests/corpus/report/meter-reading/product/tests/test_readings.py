import unittest

from meters.readings import parse_reading, total


class Readings(unittest.TestCase):
    def test_one_line(self) -> None:
        self.assertEqual(parse_reading("M7: 204"), ("M7", 204))

    def test_all_lines(self) -> None:
        self.assertEqual(total(["M7: 204", "M8: 6"]), 210)

    def test_words_are_refused(self) -> None:
        with self.assertRaises(ValueError):
            parse_reading("M7: many")
