"""Labels of seats."""

from __future__ import annotations


def seat(row: str, number: int | str) -> str:
    """Return the label of a seat: ``C-12``."""
    return row.upper() + "-" + number


def row_labels(row: str, numbers: list) -> list[str]:
    """Return the labels of a row."""
    return [seat(row, number) for number in numbers]
