import unittest

from settings.lines import read, read_line


class Lines(unittest.TestCase):
    def test_one_line(self) -> None:
        self.assertEqual(read_line("width = 42"), ("width", "42"))

    def test_comments(self) -> None:
        self.assertEqual(read("# a\n\nb=c\n"), {"b": "c"})

    def test_a_line_without_a_value_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            read_line("width")
