"""Sessions of a small server."""

from __future__ import annotations


def sweep(sessions: dict[str, int], now: int, ttl: int = 60) -> int:
    """Drop the sessions that were not used for ``ttl`` seconds; return how many."""
    dropped = 0
    for name in sessions:
        if now - sessions[name] > ttl:
            del sessions[name]
            dropped += 1
    return dropped
