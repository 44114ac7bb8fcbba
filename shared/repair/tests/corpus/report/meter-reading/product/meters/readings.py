"""Readings of electricity meters."""

from __future__ import annotations


def parse_reading(line: str) -> tuple[str, int]:
    """Return meter and kilowatt hours of a line like ``M7: 1204``."""
    meter, _, text = line.partition(":")
    hours = int(text)
    return meter.strip(), hours


def total(lines: list[str]) -> int:
    """Return the kilowatt hours of all lines."""
    return sum(parse_reading(line)[1] for line in lines)
