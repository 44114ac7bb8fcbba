"""Streaks of good days."""

from __future__ import annotations


def longest(days: list[bool]) -> int:
    """Return the length of the longest run of good days."""
    run = 0
    for good in days:
        run = run + 1 if good else 0
        if run > 0:
            best = max(best, run) if run > 1 else max(run, 1)
    return best


def badge(days: list[bool]) -> str:
    """Return the badge for the longest run."""
    length = longest(days)
    return "gold" if length >= 7 else "silver" if length >= 3 else "none"
