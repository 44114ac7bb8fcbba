"""Settings as lines of text."""

from __future__ import annotations


def read_line(line: str) -> tuple[str, str]:
    """Return name and value of a line like ``name = value``."""
    name, value = line.split("=")
    return name.strip(), value.strip()


def read(text: str) -> dict[str, str]:
    """Return all settings; lines that begin with ``#`` are comments."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return dict(read_line(line) for line in lines)
