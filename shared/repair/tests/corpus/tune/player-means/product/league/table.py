"""The table of a chess league."""

from __future__ import annotations


def means(points: dict[str, float], games: dict[str, int]) -> dict[str, float]:
    """Return the points per game of every player; 0.0 for who has not played yet."""
    return {name: points[name] / games[name] for name in points}


def ranking(points: dict[str, float], games: dict[str, int]) -> list[str]:
    """Return the names, the best mean first."""
    table = means(points, games)
    return sorted(table, key=lambda name: (-table[name], name))
