"""What a parcel costs."""

from __future__ import annotations

#: Cents per started kilogram.
RATES = {"AT": 450, "DE": 390, "FR": 520}


def zone_rate(country: str) -> int:
    """Return the cents per kilogram to a country."""
    return RATES[country]


def postage(country: str, grams: int) -> int:
    """Return what a parcel costs, in cents."""
    kilograms = -(-grams // 1000)
    return zone_rate(country) * max(kilograms, 1)
