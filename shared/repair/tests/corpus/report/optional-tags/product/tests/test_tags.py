import unittest

from posts.tags import Post, page, tag_line


class Tags(unittest.TestCase):
    def test_sorted(self) -> None:
        self.assertEqual(tag_line(Post("x", ["b", "a"])), "a, b")

    def test_page(self) -> None:
        self.assertEqual(page([Post("x", ["a"]), Post("y", [])]), "x: a\ny")
