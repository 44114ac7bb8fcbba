"""Crash reports are on only where they are wanted; no package is needed to test that."""

from __future__ import annotations

import contextlib
import io
import os
import unittest
from unittest import mock

from till import __version__, telemetry

DSN = "http://public@127.0.0.1:9/1"


class Start(unittest.TestCase):
    def start(self, package: object, **environment: str) -> bool:
        with mock.patch.dict(os.environ, environment, clear=True):
            with mock.patch.dict("sys.modules", {"sentry_sdk": package}):
                return telemetry.start()

    def test_off_without_a_dsn(self) -> None:
        package = mock.Mock()
        self.assertFalse(self.start(package))
        package.init.assert_not_called()

    def test_off_without_the_package(self) -> None:
        self.assertFalse(self.start(None, SENTRY_DSN=DSN))

    def test_names_the_release_and_the_device(self) -> None:
        package = mock.Mock()
        self.assertTrue(self.start(package, SENTRY_DSN=DSN, TILL_DEVICE="till-7"))
        options = package.init.call_args.kwargs
        self.assertEqual((options["dsn"], options["release"]), (DSN, f"till@{__version__}"))
        self.assertEqual(options["environment"], "production")
        package.set_user.assert_called_once_with({"id": "till-7"})

    def test_an_unusable_dsn_stops_nothing(self) -> None:
        package = mock.Mock()
        package.init.side_effect = ValueError("Unsupported scheme ''")
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            self.assertFalse(self.start(package, SENTRY_DSN="nonsense"))
        self.assertEqual(err.getvalue(), "till: no crash reports: Unsupported scheme ''\n")


if __name__ == "__main__":
    unittest.main()
