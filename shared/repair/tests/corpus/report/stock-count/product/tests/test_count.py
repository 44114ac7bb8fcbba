import unittest

from stock.count import pieces, receive


class Count(unittest.TestCase):
    def test_deliveries_add_up(self) -> None:
        self.assertEqual(receive({"cup": 1}, [("cup", 2), ("cup", 3)]), {"cup": 6})

    def test_pieces(self) -> None:
        self.assertEqual(pieces({"cup": 1, "pan": 2}), 3)
