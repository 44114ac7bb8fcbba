import unittest

from parcels.rates import postage, zone_rate


class Judge(unittest.TestCase):
    def test_case_and_spaces_do_not_matter(self) -> None:
        self.assertEqual(postage("at ", 10), 450)
        self.assertEqual(zone_rate("Fr"), 520)
