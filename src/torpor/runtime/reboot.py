"""Rebooting the machine, where the configuration allows it.

Many apps may ask for it at once, and again until the machine goes down: one command is
run for all of them, and none after it before it has had time to do its work.
"""

from __future__ import annotations

import logging
import subprocess
import threading

from torpor.config.settings import Settings
from torpor.runtime import clock

log = logging.getLogger(__name__)

_QUIET = 300.0
"""Seconds after the end of a reboot command in which no other one is run: a machine takes its
time to go down, and one that does not is not to be asked without end."""


class Rebooter:
    """Runs the reboot command."""

    def __init__(self) -> None:
        self._running: threading.Thread | None = None
        self._quiet_until = float("-inf")

    def reboot(self, settings: Settings, app: str, text: str) -> None:
        """Begin to reboot the machine because of this app.  Nothing is raised, but logged."""
        command = settings.reboot_command
        if not settings.allow_reboot:
            log.error("%s: %s; a reboot is asked for, but `allow_reboot` is not set", app, text)
        elif self._running is not None or clock.now() < self._quiet_until:
            log.error("%s: %s; a reboot is asked for, as it was already", app, text)
        else:
            log.critical("%s: %s; rebooting: %s", app, text, " ".join(command))
            # Somebody has to reap it; one that never ends holds up nobody's end.
            self._running = threading.Thread(
                target=self._run, args=(command,), name="torpor-reboot", daemon=True
            )
            self._running.start()

    def _run(self, command: tuple[str, ...]) -> None:
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, process_group=0, check=False)
        except OSError as error:
            log.error("cannot run the reboot command: %s", error)
        else:
            log.log(
                logging.ERROR if done.returncode else logging.INFO,
                "the reboot command ended with code %d",
                done.returncode,
            )
        self._quiet_until = clock.now() + _QUIET
        self._running = None
