"""A connection to systemd over a message bus.

1. It is made when it is first needed, and anew after it broke: the listener is told of that.
2. A manager that executes itself anew (`systemctl daemon-reexec`, an update) leaves the bus for a
   moment.  Calls wait for it and are made again: all of them may be made twice.
3. What a call is answered with is told by `Refused` and its `kind`, in words for people.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Coroutine
from typing import Any, Protocol

from dbus_fast import Message, MessageFlag, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.errors import DBusFastError

from torpor.errors import ProviderFailed

MANAGER = "org.freedesktop.systemd1"
_DAEMON = "org.freedesktop.DBus"
_CONNECTING = 10.0
"""Seconds in which the bus has to take a connection."""
_ANSWER = 25.0
"""Seconds in which systemd has to answer."""
_ABSENCE = 15.0
"""Seconds in which a manager that has left the bus has to be back."""
_ABSENT = frozenset(
    f"{_DAEMON}.Error.{kind}"
    for kind in ("ServiceUnknown", "NameHasNoOwner", "NoReply", "Disconnected", "Spawn.ChildExited")
)
_DENIED = frozenset(
    f"{_DAEMON}.Error.{kind}" for kind in ("AccessDenied", "AuthFailed", "InteractiveAuthorizationRequired")
)
_MATCHES = (
    f"type='signal',sender='{MANAGER}',path_namespace='/org/freedesktop/systemd1/unit',member='PropertiesChanged'",
    f"type='signal',sender='{MANAGER}',path='/org/freedesktop/systemd1',interface='{MANAGER}.Manager'",
    f"type='signal',sender='{_DAEMON}',interface='{_DAEMON}',member='NameOwnerChanged',arg0='{MANAGER}'",
)


class Listener(Protocol):
    """Whoever wants to know what systemd tells.  Called on the loop."""

    def hear(self, path: str, member: str, body: list[Any]) -> None:
        """A signal of systemd: the object's path, the signal's name, and what it says."""
        ...

    def miss(self) -> None:
        """Some signals may have been missed."""
        ...

    def lose(self) -> None:
        """None is heard any more, until a connection is made again."""
        ...


class Refused(ProviderFailed):
    """Systemd has answered with an error."""

    def __init__(self, kind: str, message: str, *, hint: str | None = None) -> None:
        """`kind`: the last word of the error's name, like `NoSuchUnit`."""
        super().__init__(message, hint=hint)
        self.kind = kind


class Connection(MessageBus):
    """One that tells of its break whoever waits for it, and nobody else.

    The library puts the error into the futures of what was to be sent and answered.  It drops the first, and does not
    come to return the second where it goes on to watch the socket that it has just closed: of errors in futures
    that nobody asks, asyncio complains.
    """

    def send(self, msg: Message) -> asyncio.Future[Any]:  # type: ignore[override]  # as the library itself does
        """See `MessageBus`; raises what it was closed for."""
        try:
            sent: asyncio.Future[Any] = super().send(msg)
        except OSError as error:
            assert self._writer is not None
            raise _error_of(self._writer.fut) or error from None
        sent.add_done_callback(_error_of)
        return sent

    def _reply_handler(self, future: asyncio.Future[Any], reply: Any | None, err: Exception | None) -> None:
        super()._reply_handler(future, reply, err)
        _error_of(future)


class Bus:
    """Reaches the systemd that is on the bus at `address`."""

    def __init__(self, address: str, title: str, listener: Listener) -> None:
        """`title`: of the manager, for people."""
        self._address = address
        self._title = title
        self._listener = listener
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()
        self._present = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def ensure_connected(self) -> None:
        """Return once all news are heard.  Raises `ProviderFailed`."""
        await self._connect()

    async def call(
        self,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        *body: Any,
        timeout: float = _ANSWER,
    ) -> list[Any]:
        """Call a method of systemd; `timeout`: seconds.  Raises `Refused`, and `ProviderFailed` without an answer."""
        for last in (False, True):
            connection = await self._connect()
            message = Message(
                destination=MANAGER,
                path=path,
                interface=interface,
                member=member,
                signature=signature,
                body=list(body),
                flags=MessageFlag.NO_AUTOSTART,
            )
            reply = await self._send(connection, message, timeout)
            if reply.message_type is not MessageType.ERROR:
                return [_plain(value) for value in reply.body]
            if last or reply.error_name not in _ABSENT:
                raise self._refusal(reply)
            self._present.clear()
            await self._wait_for_return(connection)
        raise AssertionError

    async def close(self) -> None:
        """Let go of the connection; it is made again if somebody calls."""
        for task in self._tasks:
            task.cancel()
        connection, self._connection = self._connection, None
        if connection is not None and connection.connected:
            connection.disconnect()
            with contextlib.suppress(Exception):
                await connection.wait_for_disconnect()  # type: ignore[no-untyped-call]
        self._listener.lose()

    async def _connect(self) -> Connection:
        async with self._connecting:
            if self._connection is not None and self._connection.connected:
                return self._connection
            self._connection = None
            try:
                connection = await _connect_to(self._address)
            except (OSError, DBusFastError, EOFError) as error:
                text = (error.strerror if isinstance(error, OSError) else None) or str(error) or "no answer"
                raise ProviderFailed(
                    f"cannot reach {self._title} at {self._address}: {text}",
                    hint="it must run here, and the daemon's user must be allowed to speak to its bus",
                ) from error
            connection.add_message_handler(self._take)
            try:
                await self._subscribe(connection)
            except BaseException:
                connection.disconnect()
                raise
            self._connection = connection
            self._present.set()
            self._begin(self._wait_for_loss(connection))
            return connection

    async def _subscribe(self, connection: Connection) -> None:
        for rule in _MATCHES:
            await self._send(connection, _to_daemon("AddMatch", rule), _ANSWER)
        await self._subscribe_again(connection)

    async def _subscribe_again(self, connection: Connection) -> None:
        subscribe = Message(
            destination=MANAGER,
            path="/org/freedesktop/systemd1",
            interface=f"{MANAGER}.Manager",
            member="Subscribe",
            flags=MessageFlag.NO_AUTOSTART,
        )
        reply = await self._send(connection, subscribe, _ANSWER)
        if reply.message_type is MessageType.ERROR and not str(reply.error_name).endswith(
            "AlreadySubscribed"
        ):
            raise self._refusal(reply)

    async def _send(self, connection: Connection, message: Message, timeout: float) -> Message:
        if not connection.connected:
            # The library would take its number off the loop, and put it on again, whoever has it by now.
            raise ProviderFailed(f"the connection to {self._title} was closed")
        try:
            async with asyncio.timeout(timeout):
                reply = await connection.call(message)
        except TimeoutError as error:
            raise ProviderFailed(f"{self._title} did not answer within {timeout:g} s") from error
        except (OSError, EOFError, DBusFastError) as error:
            raise ProviderFailed(f"the connection to {self._title} broke: {error}") from error
        if reply is None:
            raise ProviderFailed(f"the connection to {self._title} was closed")
        return reply

    async def _wait_for_return(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(_ABSENCE):
                # Whoever asks may have missed that it came back.
                if not await self._is_present(connection):
                    await self._present.wait()
        except TimeoutError as error:
            raise ProviderFailed(f"{self._title} has left the bus and did not come back") from error

    async def _is_present(self, connection: Connection) -> bool:
        reply = await self._send(connection, _to_daemon("NameHasOwner", MANAGER), _ANSWER)
        return bool(reply.body[0])

    async def _wait_for_loss(self, connection: Connection) -> None:
        # How it broke is told to whoever makes the next call.
        with contextlib.suppress(OSError, EOFError, DBusFastError):
            # Shielded: it waits for one future, whoever else waits for it.
            await asyncio.shield(connection.wait_for_disconnect())  # type: ignore[no-untyped-call]
        if self._connection is connection:
            self._connection = None
            self._listener.lose()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _take(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL:
            return
        if message.member == "NameOwnerChanged" and message.body[0] == MANAGER:
            if message.body[2]:
                self._begin(self._renew())
            else:
                self._present.clear()
        elif message.interface != _DAEMON and message.path and message.member:
            self._listener.hear(message.path, message.member, [_plain(value) for value in message.body])

    async def _renew(self) -> None:
        """The manager is on the bus again: ask it for its news again."""
        if (connection := self._connection) is None:
            return
        try:
            await self._subscribe_again(connection)
        except ProviderFailed:
            connection.disconnect()
        self._present.set()
        self._listener.miss()

    def _refusal(self, reply: Message) -> Refused:
        name = str(reply.error_name)
        text = str(reply.body[0]) if reply.body else name
        if name in _DENIED:
            return Refused(
                "AccessDenied",
                f"{self._title} does not allow it: {text}",
                hint="run the daemon as root, or allow its user org.freedesktop.systemd1.manage-units by a polkit rule",
            )
        if name in _ABSENT:
            return Refused("Absent", f"{self._title} is not on the bus at {self._address}")
        return Refused(name.rpartition(".")[2], f"{self._title} says: {text.rstrip('.')}")


async def _connect_to(address: str) -> Connection:
    """A connection to the bus there.  Raises what `MessageBus.connect` does, and `TimeoutError`."""
    connection = Connection(address)
    connecting = asyncio.ensure_future(connection.connect())
    try:
        async with asyncio.timeout(_CONNECTING):
            await asyncio.shield(connecting)
            return connection
    except (TimeoutError, asyncio.CancelledError):
        # Once the bus has said hello the library waits to write.  If it is cancelled then, it closes
        # its socket and does not tell the loop: libuv calls abort() when it comes to watch it.
        number = connection._fd  # noqa: SLF001 - nothing else tells it
        if number is not None and not connecting.done():
            loop = asyncio.get_running_loop()
            loop.remove_reader(number)
            loop.remove_writer(number)
        connecting.cancel()
        await asyncio.wait([connecting])
        if not connecting.cancelled() and connecting.exception() is None:
            connection.disconnect()
        raise


def _error_of(future: asyncio.Future[Any] | None) -> BaseException | None:
    """The error in it, if there is one: asyncio knows then that somebody has asked."""
    return future.exception() if future is not None and future.done() and not future.cancelled() else None


def _to_daemon(member: str, text: str) -> Message:
    return Message(
        destination=_DAEMON,
        path="/org/freedesktop/DBus",
        interface=_DAEMON,
        member=member,
        signature="s",
        body=[text],
    )


def system_address() -> str:
    """Where the system's bus is."""
    return os.environ.get("DBUS_SYSTEM_BUS_ADDRESS") or "unix:path=/run/dbus/system_bus_socket"


def user_address() -> str:
    """Where the bus of this user's own systemd is."""
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return os.environ.get("DBUS_SESSION_BUS_ADDRESS") or f"unix:path={runtime}/bus"


def _plain(value: Any) -> Any:
    """A value without the types that D-Bus gives it."""
    if isinstance(value, Variant):
        return _plain(value.value)
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value
