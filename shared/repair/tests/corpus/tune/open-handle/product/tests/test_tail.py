import io
import unittest

from logs.tail import last_line


class Tail(unittest.TestCase):
    def test_last_line(self) -> None:
        self.assertEqual(last_line(io.StringIO("a\nb\n")), "b")
