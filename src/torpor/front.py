"""The gateway, as the running set has it follow, and the addresses that people reach it by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torpor.config.settings import Settings
from torpor.core.model import AppSpec, Route
from torpor.gateway.gateway import Gateway
from torpor.gateway.listeners import Prepared
from torpor.runtime.gate import LocalSeam


@dataclass(frozen=True, slots=True)
class Opened:
    """What is open already for other settings."""

    requests: Prepared | None
    """None: the gateway's own addresses stay as they are."""
    streams: Prepared


class Front:
    """The gateway, as the running set has it follow."""

    def __init__(self, seam: LocalSeam, gateway: Gateway) -> None:
        self._seam = seam
        self._gateway = gateway
        self.changed: Callable[[], None] = lambda: None
        """Called when it may listen elsewhere."""

    def prepare(self, settings: Settings) -> Opened:
        """Open what these settings need.  Raises `ListenFailed`; nothing has changed then."""
        gateway, streams = self._gateway, self._gateway.streams
        # Both before either: an address may change from one to the other.
        ours, theirs = gateway.given_up(settings.gateway), streams.given_up(settings.apps)
        for_streams = streams.prepare(settings.apps, ours)
        try:
            return Opened(gateway.prepare(settings.gateway, theirs), for_streams)
        except BaseException:
            streams.abandon(for_streams)
            raise

    def prepare_apps(self, apps: Sequence[AppSpec]) -> Opened:
        """As `prepare`, where only apps come and go."""
        return Opened(None, self._gateway.streams.prepare(apps))

    def abandon(self, opened: object) -> None:
        """Those settings will not hold after all."""
        assert isinstance(opened, Opened)
        self._gateway.streams.abandon(opened.streams)
        if opened.requests is not None:
            self._gateway.abandon(opened.requests)

    async def change(self, settings: Settings, opened: object) -> None:
        """Let them hold, and the routes of the apps that there are now."""
        assert isinstance(opened, Opened)
        self._seam.follow()
        self._gateway.reroute()
        await self._gateway.streams.commit(opened.streams)
        if opened.requests is not None:
            await self._gateway.change(settings.gateway, opened.requests)
            self.changed()


def urls(gateway: Gateway) -> list[str]:
    """Where the gateway takes requests, in the order of the configuration."""
    listens = zip(gateway.spec.listen, gateway.addresses(), strict=False)
    return [
        f"{'https' if listen.tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
        for listen, (host, port) in listens
        if not listen.gate
    ]


def url(base: str, route: Route) -> str:
    """What a browser is given to reach a route at the gateway's address `base`."""
    scheme, _, address = base.partition("://")
    host, _, port = address.rpartition(":")
    if route.host is not None:
        host = route.host.replace(".*", ".localhost")  # which every resolver knows
    return f"{scheme}://{host}:{port}{route.path}"
