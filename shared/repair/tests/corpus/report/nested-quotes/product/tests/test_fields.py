import unittest

from csvline.fields import column, fields


class Fields(unittest.TestCase):
    def test_plain(self) -> None:
        self.assertEqual(fields("a;b"), ["a", "b"])

    def test_quoted(self) -> None:
        self.assertEqual(fields('"a;b";c'), ["a;b", "c"])

    def test_columns(self) -> None:
        self.assertEqual(column(["a;b", "c;d"], 1), ["b", "d"])
