"""Counting votes."""

from __future__ import annotations


def most_votes(votes: dict[str, int]) -> int:
    """Return the votes of the first place, or 0 if nobody stood."""
    return max(votes.values())


def winners(votes: dict[str, int]) -> list[str]:
    """Return everybody who shares the first place."""
    best = most_votes(votes)
    return [name for name, count in votes.items() if count == best]
