"""The legs of a walk."""

from __future__ import annotations


def legs(heights: list[int]) -> list[int]:
    """Return how far each leg goes up (or down, below 0): one fewer than there are points."""
    climbs = []
    for place in range(len(heights)):
        climbs.append(heights[place + 1] - heights[place])
    return climbs


def ascent(heights: list[int]) -> int:
    """Return the metres that go up."""
    return sum(climb for climb in legs(heights) if climb > 0)
