"""The containers of an engine, for discovery."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import msgspec

from torpor.config.hosts import EngineHost
from torpor.config.labels.container import Container
from torpor.errors import ProviderFailed
from torpor.providers.guests.docker.api import EngineApi, Refused

_APPEARANCES = '{"type":["container"],"event":["create","rename","destroy","remove"]}'
"""Docker says `destroy`, Podman `remove`.  Labels do not change while a container is there."""


class _Port(msgspec.Struct, rename="pascal"):
    private_port: int = 0
    type: str = ""


class _Networking(msgspec.Struct, rename="pascal"):
    networks: dict[str, object] | None = None


class _Listed(msgspec.Struct, rename="pascal"):
    id: str
    names: list[str] | None = None
    image: str = ""
    labels: dict[str, str] | None = None
    ports: list[_Port] | None = None
    state: str = ""
    network_settings: _Networking | None = None

    @property
    def name(self) -> str:
        """Its own: where others link to it, it is listed under theirs as well."""
        names = [name.removeprefix("/") for name in self.names or ()]
        return next((name for name in names if "/" not in name), "")


class EngineCatalogue:
    """The containers of one engine."""

    def __init__(self, name: str, host: EngineHost) -> None:
        """`name`: the engine's, in the configuration."""
        self._name = name
        self._api = EngineApi(host)

    @property
    def title(self) -> str:
        """The engine, for people."""
        return self._api.title

    async def close(self) -> None:
        """Let go of all connections."""
        await self._api.close()

    async def containers(self) -> Sequence[Container]:
        """All of them, whatever state they are in.  Raises `ProviderFailed`."""
        try:
            found = await self._api.get("/containers/json", list[_Listed], all="true")
        except Refused as refused:
            raise ProviderFailed(f"{self.title} does not list its containers: {refused.words}") from refused
        return [self._container(one) for one in found]

    async def appearances(self) -> AsyncGenerator[None, None]:
        """Yields once none can be missed, and then when one was made, renamed or removed.

        Raises `ProviderFailed`, at the latest when the engine goes down.
        """
        params: dict[str, str | int] = {"filters": _APPEARANCES}
        try:
            # The engine answers before it listens to itself; by its own clock nothing falls between.
            params["since"] = await self._api.clock()
            async with self._api.opened("GET", "/events", params=params) as answer:
                yield
                while await answer.content.readany():
                    yield
        except Refused as refused:
            raise ProviderFailed(f"{self.title} does not tell what happens: {refused.words}") from refused
        raise ProviderFailed(f"{self.title} has stopped telling what happens")

    def _container(self, listed: _Listed) -> Container:
        networks = listed.network_settings.networks if listed.network_settings is not None else None
        ports = {port.private_port for port in listed.ports or () if port.type == "tcp"}
        return Container(
            name=listed.name,
            id=listed.id,
            engine=self._name,
            labels=listed.labels or {},
            image=listed.image,
            ports=tuple(sorted(ports)),
            state=listed.state,
            networks=tuple(sorted(networks or ())),
        )
