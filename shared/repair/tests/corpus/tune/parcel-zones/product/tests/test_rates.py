import unittest

from parcels.rates import postage, zone_rate


class Rates(unittest.TestCase):
    def test_by_country(self) -> None:
        self.assertEqual(zone_rate("DE"), 390)

    def test_every_started_kilogram_counts(self) -> None:
        self.assertEqual(postage("FR", 1001), 1040)

    def test_unknown_countries_are_refused(self) -> None:
        with self.assertRaises(KeyError):
            zone_rate("XX")
