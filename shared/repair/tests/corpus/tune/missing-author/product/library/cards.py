"""The cards of a library."""

from __future__ import annotations


def label(record: dict[str, str | None]) -> str:
    """Return what is printed on the spine: title and author."""
    title = record["title"].strip()
    author = record.get("author").strip()
    return f"{title} / {author}" if author else title


def labels(records: list[dict[str, str | None]]) -> list[str]:
    """Return all labels, sorted."""
    return sorted(label(record) for record in records)
