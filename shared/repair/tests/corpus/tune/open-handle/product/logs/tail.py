"""The end of a log."""

from __future__ import annotations


def last_line(handle) -> str:
    """Return the last line of an open file."""
    return handle.readlines()[-1].rstrip()
