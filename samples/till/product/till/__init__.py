"""Till: the day report of a small shop, from the journal its cash register writes."""

from __future__ import annotations

from pathlib import Path

__all__ = ["__version__"]

#: The release this copy was built as. The release build writes the file, the code only reads it.
__version__: str = (Path(__file__).parent / "VERSION").read_text(encoding="utf-8").strip()
