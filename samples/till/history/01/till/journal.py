"""Reading a day's journal: JSON lines, one entry per receipt.

Three kinds of entry exist. A ``sale`` was paid. A ``refund`` gave money back, for a sale of this day or an
earlier one. A ``void`` was cancelled before it was paid: it is counted, but its amount is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

KINDS = ("sale", "refund", "void")


class JournalError(Exception):
    """A journal that cannot be used; the message names the file and the line."""


@dataclass(frozen=True)
class Entry:
    """One receipt. Amounts are whole cents, tax included, and never negative."""

    time: str
    kind: str
    receipt: str
    category: str
    amount_cents: int
    discount_cents: int = 0

    @property
    def paid_cents(self) -> int:
        """What changed hands: the amount less the discount."""
        return self.amount_cents - self.discount_cents


def read_journal(path: Path) -> list[Entry]:
    """Read the journal at ``path``."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise JournalError(f"{path}: cannot be read: {error}") from error
    return parse_json_lines(text.splitlines(), str(path))


def parse_json_lines(lines: Iterable[str], name: str) -> list[Entry]:
    """Parse one JSON object per line; blank lines are skipped."""
    entries = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{name}:{number}"
        try:
            record = json.loads(line)
        except ValueError as error:
            raise JournalError(f"{where}: not JSON: {error}") from error
        if not isinstance(record, dict):
            raise JournalError(f"{where}: expected an object")
        entries.append(_entry(record, where))
    return entries


def _entry(record: Mapping[str, object], where: str) -> Entry:
    """Turn one record into an entry, or say what is wrong with it."""
    texts = {}
    for key in ("time", "kind", "receipt", "category"):
        value = record.get(key)
        if not isinstance(value, str) or not value:
            raise JournalError(f"{where}: {key} is missing or not text")
        texts[key] = value
    if texts["kind"] not in KINDS:
        raise JournalError(f"{where}: kind must be one of {', '.join(KINDS)}, not {texts['kind']!r}")
    amount = _cents(record, "amount_cents", where)
    discount = _cents(record, "discount_cents", where) if "discount_cents" in record else 0
    if discount > amount:
        raise JournalError(f"{where}: the discount is larger than the amount")
    return Entry(amount_cents=amount, discount_cents=discount, **texts)


def _cents(record: Mapping[str, object], key: str, where: str) -> int:
    value = record.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise JournalError(f"{where}: {key} must be whole cents, 0 or more, not {value!r}")
    return value
