"""Who works when."""

from __future__ import annotations


def opener(day: str, shifts: list[tuple[str, str, int]]) -> str:
    """Return who opens the shop on a day; an empty text when nobody works."""
    of_day = [shift for shift in shifts if shift[0] == day]
    of_day.sort(key=lambda shift: shift[2])
    return of_day[0][1]


def week(days: list[str], shifts: list[tuple[str, str, int]]) -> dict[str, str]:
    """Return who opens the shop on each day."""
    return {day: opener(day, shifts) for day in days}
