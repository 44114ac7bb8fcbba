"""What is on the shelves."""

from __future__ import annotations


def receive(shelf: dict[str, int], deliveries: list[tuple[str, int]]) -> dict[str, int]:
    """Put deliveries on a shelf; return it."""
    for item, pieces in deliveries:
        shelf[item] += pieces
    return shelf


def pieces(shelf: dict[str, int]) -> int:
    """Return how many pieces lie on a shelf."""
    return sum(shelf.values())
