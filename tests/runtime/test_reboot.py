"""Rebooting, as far as it does not happen."""

from __future__ import annotations

from pathlib import Path

import pytest

from torpor.config.settings import Settings
from torpor.runtime.reboot import Rebooter


def test_nothing_reboots_that_may_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without `allow_reboot` the command is not run, and the log says why."""
    rebooter = Rebooter()
    settings = Settings(tmp_path, reboot_command=("touch", str(tmp_path / "rebooted")))
    rebooter.reboot(settings, "app", "it is silent")
    assert "app: it is silent; a reboot is asked for, but `allow_reboot` is not set" in caplog.text
    assert rebooter._running is None
