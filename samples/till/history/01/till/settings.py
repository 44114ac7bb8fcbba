"""The settings of one device.

They are read from the file ``$TILL_SETTINGS`` names, else from ``settings.json`` in the working directory,
else every setting has its default. Keys this version does not know are left alone, so that a device can
carry settings for a newer version.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SettingsError(Exception):
    """Settings that cannot be used; the message names the file and the key."""


@dataclass(frozen=True)
class Settings:
    """What differs from shop to shop."""

    shop: str = "Corner shop"
    currency: str = "EUR"
    width: int = 40


def load_settings() -> Settings:
    """Load the settings of the device this runs on."""
    named = os.environ.get("TILL_SETTINGS")
    path = Path(named) if named else Path("settings.json")
    if not named and not path.exists():
        return Settings()
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"{path}: not JSON: {error}") from error
    if not isinstance(record, dict):
        raise SettingsError(f"{path}: expected an object")
    return from_record(record, str(path))


def from_record(record: Mapping[str, object], name: str) -> Settings:
    """Check a settings record and fill in the defaults of what it leaves out."""
    defaults = Settings()
    return Settings(
        shop=_text(record, "shop", defaults.shop, name),
        currency=_text(record, "currency", defaults.currency, name),
        width=_number(record, "width", defaults.width, name, 24, 120),
    )


def _text(record: Mapping[str, object], key: str, default: str, name: str) -> str:
    value = record.get(key, default)
    if not isinstance(value, str) or not value.strip():
        raise SettingsError(f"{name}: {key}: expected text, not {value!r}")
    return value


def _number(record: Mapping[str, object], key: str, default: int, name: str, low: int, high: int) -> int:
    value = record.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise SettingsError(f"{name}: {key}: expected a whole number from {low} to {high}, not {value!r}")
    return value
