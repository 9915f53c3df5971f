"""Units of systemd, over D-Bus."""

from torpor.providers.guests.systemd.driver import SystemdDriver

__all__ = ["SystemdDriver"]
