"""Pay by the hour."""

from __future__ import annotations


def hourly(cents: int, minutes: int) -> int:
    """Return the cents for a full hour."""
    if minutes < 0:
        return 0
    return cents * 60 // minutes


def compare(jobs: list[tuple[str, int, int]]) -> list[str]:
    """Return the names of the jobs, the best paid first."""
    return [name for name, cents, minutes in sorted(jobs, key=lambda job: -hourly(job[1], job[2]))]
