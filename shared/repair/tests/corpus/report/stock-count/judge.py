import unittest

from stock.count import receive


class Judge(unittest.TestCase):
    def test_new_items_get_a_place(self) -> None:
        self.assertEqual(receive({}, [("pan", 2), ("cup", 1), ("pan", 1)]), {"pan": 3, "cup": 1})
