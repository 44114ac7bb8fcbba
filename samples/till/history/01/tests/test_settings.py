"""Settings: where they come from and what is refused."""

from __future__ import annotations

import json
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from till.settings import Settings, SettingsError, from_record, load_settings

RECORD = {
    "shop": "Harbour kiosk",
    "currency": "EUR",
    "width": 42,
}


class FromRecord(unittest.TestCase):
    def test_takes_every_setting(self) -> None:
        settings = from_record(RECORD, "settings")
        self.assertEqual((settings.shop, settings.width), ("Harbour kiosk", 42))

    def test_leaves_unknown_keys_alone(self) -> None:
        self.assertEqual(from_record({**RECORD, "colour": "red"}, "settings"), from_record(RECORD, "settings"))

    def test_refuses_bad_values(self) -> None:
        cases = [
            ("shop", " ", "shop: expected text"),
            ("currency", 7, "currency: expected text"),
            ("width", 10, "width: expected a whole number from 24 to 120, not 10"),
        ]
        for key, value, reason in cases:
            with self.subTest(key), self.assertRaisesRegex(SettingsError, f"^settings: {reason}"):
                from_record({**RECORD, key: value}, "settings")


class Load(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder.name)
        self.folder = Path(folder.name)

    def load(self, named: str | None = None) -> Settings:
        with mock.patch.dict(os.environ):
            os.environ.pop("TILL_SETTINGS", None)
            if named is not None:
                os.environ["TILL_SETTINGS"] = named
            return load_settings()

    def test_defaults_without_a_file(self) -> None:
        self.assertEqual(self.load(), Settings())

    def test_the_file_in_the_working_directory(self) -> None:
        Path("settings.json").write_text(json.dumps(RECORD), encoding="utf-8")
        self.assertEqual(self.load().shop, "Harbour kiosk")

    def test_the_named_file_comes_first(self) -> None:
        Path("settings.json").write_text("{", encoding="utf-8")
        named = self.folder / "device.json"
        named.write_text(json.dumps(RECORD), encoding="utf-8")
        self.assertEqual(self.load(str(named)).width, 42)

    def test_a_named_file_must_exist_and_be_an_object(self) -> None:
        with self.assertRaisesRegex(SettingsError, "none.json: cannot be read"):
            self.load(str(self.folder / "none.json"))
        for text, reason in (("{", "not JSON"), ("[]", "expected an object")):
            Path("settings.json").write_text(text, encoding="utf-8")
            with self.subTest(text), self.assertRaisesRegex(SettingsError, reason):
                self.load()


if __name__ == "__main__":
    unittest.main()
