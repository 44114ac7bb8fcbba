import unittest

from csvline.fields import column, fields


class Judge(unittest.TestCase):
    def test_quotes_inside_quotes(self) -> None:
        self.assertEqual(fields('"say ""hi""";2'), ['say "hi"', "2"])
        self.assertEqual(column(['"";2', '"a""b";3'], 0), ["", 'a"b'])
