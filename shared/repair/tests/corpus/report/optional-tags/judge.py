import unittest

from posts.tags import Post, page, tag_line


class Judge(unittest.TestCase):
    def test_no_tags(self) -> None:
        self.assertEqual(tag_line(Post("y")), "")
        self.assertEqual(page([Post("y"), Post("z", ["q"])]), "y\nz: q")
