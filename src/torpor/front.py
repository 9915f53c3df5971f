"""The gateway, as the running set has it follow, and the addresses that people reach it by."""

from __future__ import annotations

from collections.abc import Callable

from torpor.config.settings import GatewaySpec
from torpor.core.model import Route
from torpor.gateway.gateway import Gateway
from torpor.gateway.listeners import Prepared
from torpor.runtime.gate import LocalSeam


class Front:
    """The gateway, as the running set has it follow."""

    def __init__(self, seam: LocalSeam, gateway: Gateway) -> None:
        self._seam = seam
        self._gateway = gateway
        self.changed: Callable[[], None] = lambda: None
        """Called when it may listen elsewhere."""

    def prepare(self, spec: GatewaySpec) -> Prepared:
        """Open what these settings need.  Raises `ListenFailed`; nothing has changed then."""
        return self._gateway.prepare(spec)

    async def change(self, spec: GatewaySpec, prepared: object) -> None:
        """Let them hold, and the routes of the apps that there are now."""
        assert isinstance(prepared, Prepared)
        self._seam.follow()
        await self._gateway.change(spec, prepared)
        self.changed()

    def follow(self) -> None:
        """Let the routes of the apps hold that there are now."""
        self._seam.follow()
        self._gateway.reroute()


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
        host = route.host
    return f"{scheme}://{host}:{port}{route.path}"
