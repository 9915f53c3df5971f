"""The driver, against engines that run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Callable
from itertools import pairwise

import pytest

from engines import Docker, Engine
from torpor.config.guests import ContainerSpec
from torpor.config.hosts import ClientTls, EngineHost
from torpor.core.model import Endpoint, ExitInfo
from torpor.errors import ProviderFailed, StartFailed
from torpor.providers.guests.docker.driver import DockerDriver
from torpor.providers.guests.driver import Health, Notice, Piece, State, Status, Stream

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PORT = 18000
APP = ContainerSpec(name="app", host="docker", port=PORT)


@pytest.fixture
async def driver(engine: Engine) -> AsyncIterator[DockerDriver]:
    """A driver of the engine."""
    driver = DockerDriver(EngineHost(engine.url))
    yield driver
    await driver.close()


async def once(driver: DockerDriver, holds: Callable[[Status], bool], guest: ContainerSpec = APP) -> Status:
    """The first status of which that holds."""
    while not holds(status := await driver.status(guest)):
        await asyncio.sleep(0.01)
    return status


async def is_(driver: DockerDriver, state: State, guest: ContainerSpec = APP) -> Status:
    """Its status, once it is so."""
    return await once(driver, lambda status: status.state is state, guest)


class Listener:
    """Hears a driver's notices."""

    def __init__(self, driver: DockerDriver) -> None:
        self.heard: list[Notice] = []
        self._news = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._listen(driver))

    async def _listen(self, driver: DockerDriver) -> None:
        async for notice in driver.watch(lambda: [APP]):
            self.heard.append(notice)
            self._news.set()

    async def until(self, holds: Callable[[list[Notice]], bool]) -> None:
        """Return once that holds of all that was heard."""
        while not holds(self.heard):
            self._news.clear()
            await self._news.wait()

    async def close(self) -> None:
        """Stop to listen."""
        self._task.cancel()
        await asyncio.wait([self._task])


@pytest.fixture
async def listener(driver: DockerDriver) -> AsyncIterator[Listener]:
    """Somebody who has begun to listen."""
    listener = Listener(driver)
    await listener.until(bool)
    assert listener.heard.pop(0) == Notice()
    yield listener
    await listener.close()


async def read(pieces: AsyncIterator[Piece], holds: Callable[[list[Piece]], bool]) -> list[Piece]:
    """All pieces until that holds of them, or they end."""
    got: list[Piece] = []
    async for piece in pieces:
        got.append(piece)
        if holds(got):
            break
    await pieces.aclose()  # type: ignore[attr-defined]
    return got


def text(pieces: list[Piece], stream: Stream = Stream.STDOUT) -> bytes:
    """What was written to a stream."""
    return b"".join(piece.data for piece in pieces if piece.stream is stream)


async def test_a_life(engine: Engine, driver: DockerDriver) -> None:
    """Created, running, stopped, running as another run, removed."""
    assert (await driver.status(APP)).state is State.MISSING
    id = engine.create("app", "steady")
    assert await driver.status(APP) == Status(State.STOPPED, exit=ExitInfo(code=0))
    await driver.start(APP)
    first = await driver.status(APP)
    assert first.state is State.RUNNING
    assert first.run is not None
    assert first.run.startswith(id[:12])
    assert first.pid is not None
    os.kill(first.pid, 0)
    assert 0 <= first.age < 10
    await driver.start(APP)
    assert (await driver.status(APP)).run == first.run
    await once(driver, lambda _: b"up" in engine.call("GET", "/containers/app/logs?stdout=1"))
    await driver.stop(APP)
    ended = await is_(driver, State.STOPPED)
    assert (ended.run, ended.exit) == (first.run, ExitInfo(code=0))
    await driver.stop(APP)
    await driver.kill(APP)
    await driver.start(APP)
    assert (await driver.status(APP)).run != first.run
    engine.remove("app")
    assert (await driver.status(APP)).state is State.MISSING
    await driver.stop(APP)
    await driver.kill(APP)


async def test_the_clock_is_the_engines(
    engine: Engine, driver: DockerDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has just happened has just happened, also where it is another hour than there."""
    ours = time.time
    monkeypatch.setattr(time, "time", lambda: ours() + 3600)
    monkeypatch.setattr(time, "time_ns", lambda: int((ours() + 3600) * 1e9))
    engine.create("app", "steady")
    await driver.start(APP)
    assert 0 <= (await driver.status(APP)).age < 600


async def test_one_made_anew_is_another_run(engine: Engine, driver: DockerDriver) -> None:
    """As `compose up` does it: the same name, another container."""
    engine.create("app", "steady")
    await driver.start(APP)
    before = await driver.status(APP)
    engine.remove("app")
    engine.create("app", "steady")
    assert (await driver.status(APP)).run is None
    await driver.start(APP)
    assert (await driver.status(APP)).run not in (None, before.run)


async def test_the_beginning_of_an_id_is_no_name(engine: Engine, driver: DockerDriver) -> None:
    """Engines take it for one."""
    id = engine.create("app", "steady")
    assert (await driver.status(ContainerSpec(name=id[:6], host="docker"))).state is State.MISSING


async def test_only_a_kill_ends_a_stubborn_one(engine: Engine, driver: DockerDriver) -> None:
    """No limit of the engine's own does, and a stop that is under way keeps nobody from killing it."""
    engine.create("app", "stubborn", StopTimeout=1)
    await driver.start(APP)
    await once(driver, lambda _: b"up" in engine.call("GET", "/containers/app/logs?stdout=1"))
    await driver.stop(APP)
    await asyncio.sleep(1.5)
    assert (await driver.status(APP)).state in (State.RUNNING, State.CHANGING)
    await driver.kill(APP)
    assert (await is_(driver, State.STOPPED)).exit == ExitInfo(code=137)


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_no_restart_policy_brings_back_what_we_end(
    engine: Engine, driver: DockerDriver, listener: Listener, how: str
) -> None:
    """Though it says `always`."""
    engine.create("app", "steady", HostConfig={"RestartPolicy": {"Name": "always"}})
    await driver.start(APP)
    run = (await driver.status(APP)).run
    await once(driver, lambda _: b"up" in engine.call("GET", "/containers/app/logs?stdout=1"))
    await (driver.stop(APP) if how == "stop" else driver.kill(APP))
    await is_(driver, State.STOPPED)
    await asyncio.sleep(1.0)
    status = await driver.status(APP)
    assert (status.state, status.run) == (State.STOPPED, run)


async def test_a_signal_of_the_app_asks_it_to_end(engine: Engine, driver: DockerDriver) -> None:
    """In place of the container's own, where the configuration names one."""
    engine.create("app", "sh", "-c", "trap 'exit 7' USR1; echo up; sleep 1000 & wait")
    await driver.start(APP)
    await once(driver, lambda _: b"up" in engine.call("GET", "/containers/app/logs?stdout=1"))
    await driver.stop(ContainerSpec(name="app", host="docker", stop_signal=signal.SIGUSR1))
    assert (await is_(driver, State.STOPPED)).exit == ExitInfo(code=7)


async def test_what_is_paused(engine: Engine, driver: DockerDriver) -> None:
    """Pausing and resuming twice is no error; a stop and a kill reach it, and it cannot be paused when it is over."""
    engine.create("app", "steady")
    await driver.start(APP)
    run = (await driver.status(APP)).run
    await driver.pause(APP)
    await driver.pause(APP)
    paused = await driver.status(APP)
    assert (paused.state, paused.run) == (State.PAUSED, run)
    await driver.resume(APP)
    await driver.resume(APP)
    assert (await driver.status(APP)).state is State.RUNNING
    for end in (driver.stop, driver.kill):
        await driver.start(APP)
        await driver.pause(APP)
        await end(APP)
        await is_(driver, State.STOPPED)
    with pytest.raises(ProviderFailed, match="does not run"):
        await driver.pause(APP)
    await driver.resume(APP)


async def test_failures_are_told_in_words(engine: Engine, driver: DockerDriver) -> None:
    """They name the container and the engine, and say what to do."""
    with pytest.raises(StartFailed, match=re.escape(engine.url)) as failed:
        await driver.start(APP)
    assert failed.value.hint is not None
    engine.create("app", "steady", Cmd=["/no-such-program"])
    with pytest.raises(StartFailed, match=r"app.*no-such-program"):
        await driver.start(APP)
    assert (await driver.status(APP)).state is State.STOPPED


async def test_nobody_answers(tmp_path: object) -> None:
    """What to do then depends on why."""
    driver = DockerDriver(EngineHost(f"unix://{tmp_path}/nobody.sock"))
    with pytest.raises(ProviderFailed, match="nothing answers") as failed:
        await driver.status(APP)
    assert "systemctl start" in str(failed.value.hint)
    with pytest.raises(StartFailed):
        await driver.start(APP)
    await driver.close()
    driver = DockerDriver(EngineHost("ssh://there"))
    with pytest.raises(ProviderFailed, match="no address"):
        await driver.status(APP)


async def test_an_engine_behind_tls(docker: Docker) -> None:
    """Both ends show a certificate; without one, or where the other's cannot be trusted, nothing is said."""
    here = docker.folder
    trusted = ClientTls(here / "ca.pem", here / "cert.pem", here / "key.pem")
    docker.create("app", "web", ExposedPorts={"80/tcp": {}}, HostConfig={"PortBindings": {"80/tcp": [{}]}})
    for tls, words in (
        (trusted, None),
        (ClientTls(ca=here / "ca.pem"), "cannot be spoken to"),
        (ClientTls(cert=trusted.cert, key=trusted.key), "cannot be spoken to.*CERTIFICATE_VERIFY_FAILED"),
        (ClientTls(ca=here / "none.pem"), "certificates .* cannot be used"),
    ):
        driver = DockerDriver(EngineHost(docker.tls_url, tls))
        try:
            if words is None:
                await driver.start(ContainerSpec(name="app", host="docker"))
                status = await driver.status(ContainerSpec(name="app", host="docker"))
                assert (status.state, status.pid) == (State.RUNNING, None)
                assert status.endpoint is not None
                assert status.endpoint.host == "127.0.0.1"
            else:
                with pytest.raises(ProviderFailed, match=words):
                    await driver.status(APP)
        finally:
            await driver.close()
    docker.remove("app")


async def test_commands_run_inside(engine: Engine, driver: DockerDriver) -> None:
    """How they end is told with what they said; one that takes too long is given up."""
    engine.create("app", "steady")
    with pytest.raises(ProviderFailed, match="app"):
        await driver.execute(APP, ("true",), 5)
    await driver.start(APP)
    assert await driver.execute(APP, ("sh", "-c", "echo said; exit 4"), 10) == ExitInfo(code=4, note="said")
    assert await driver.execute(APP, ("sleep", "1000"), 0.3) is None
    gone = await driver.execute(APP, ("/no-such-program",), 10)
    assert gone is not None
    assert not gone.clean


async def test_signals_reach_it(engine: Engine, driver: DockerDriver) -> None:
    """And do not end what takes them."""
    engine.create("app", "hearing")
    await driver.start(APP)
    await once(driver, lambda _: b"up" in engine.call("GET", "/containers/app/logs?stdout=1"))
    await driver.signal(APP, signal.SIGUSR1)
    await once(driver, lambda _: b"got signal 10" in engine.call("GET", "/containers/app/logs?stdout=1"))
    await driver.kill(APP)


async def test_what_it_uses(engine: Engine, driver: DockerDriver) -> None:
    """While it runs."""
    engine.create("app", "steady")
    assert await driver.usage(APP) is None
    await driver.start(APP)
    usage = await driver.usage(APP)
    assert usage is not None
    assert usage.cpu is not None
    assert 0 < usage.rss < 100_000_000
    assert usage.cpu is not None
    assert 0 <= usage.cpu < 60
    engine.remove("app")
    assert await driver.usage(APP) is None


async def test_its_own_health_check(docker: Engine) -> None:
    """Docker's; where no systemd runs, Podman checks nothing by itself."""
    driver = DockerDriver(EngineHost(docker.url))
    docker.create(
        "app",
        "steady",
        Healthcheck={
            "Test": ["CMD-SHELL", "cat /tmp/well"],
            "Interval": 400_000_000,
            "Retries": 2,
            "StartPeriod": 0,
        },
    )
    listener = Listener(driver)
    try:
        await driver.start(APP)
        assert (await driver.status(APP)).health is Health.PENDING
        status = await once(driver, lambda status: status.health is Health.UNHEALTHY)
        assert "can't open '/tmp/well'" in status.note
        listener.heard.clear()
        await driver.execute(APP, ("touch", "/tmp/well"), 5)
        await listener.until(lambda heard: Notice("app") in heard)
        assert (await once(driver, lambda status: status.health is Health.HEALTHY)).note == ""
        await driver.pause(APP)
        assert (await driver.status(APP)).health is not Health.UNHEALTHY
        await driver.resume(APP)
        await once(driver, lambda status: status.health is not Health.PENDING)
        assert (await driver.status(APP)).health is Health.HEALTHY
    finally:
        await listener.close()
        await driver.close()
        docker.remove("app")


async def test_what_happens_is_noticed(engine: Engine, driver: DockerDriver, listener: Listener) -> None:
    """Whoever did it."""
    engine.create("app", "steady")
    await listener.until(lambda heard: Notice("app") in heard)
    for verb in ("start", "pause", "unpause"):
        listener.heard.clear()
        engine.act(verb, "app")
        await listener.until(lambda heard: Notice("app") in heard)
    listener.heard.clear()
    engine.act("rename", "app", "name=other")
    await listener.until(
        lambda heard: Notice("other") in heard and {Notice("app"), Notice()} & {*heard} != set()
    )


@pytest.mark.parametrize("how", ["stop", "kill", "SIGKILL", "itself", "ours"])
async def test_who_has_ended_it(engine: Engine, driver: DockerDriver, listener: Listener, how: str) -> None:
    """A stop is an end by hand; a kill is not, nor is what nobody asked the engine for."""
    for _ in range(2):
        engine.remove("app")
        engine.create("app", "steady")
        engine.act("start", "app")
        status = await is_(driver, State.RUNNING)
        assert status.pid is not None
        await once(driver, lambda _: b"up" in engine.call("GET", "/containers/app/logs?stdout=1"))
        await asyncio.sleep(0.3)
        listener.heard.clear()
        if how == "SIGKILL":
            os.kill(status.pid, signal.SIGKILL)
        elif how == "itself":
            await driver.execute(APP, ("killall", "sleep"), 5)
        elif how == "ours":
            await driver.stop(APP)
        else:
            await asyncio.to_thread(engine.act, how, "app")
        assert (await is_(driver, State.STOPPED)).by_hand is (how == "stop")
        await listener.until(lambda heard: Notice("app", by_hand=how == "stop") in heard)
        assert (Notice("app", by_hand=True) in listener.heard) is (how == "stop")


async def test_an_engine_that_breaks_off(engine: Engine, driver: DockerDriver) -> None:
    """Is told to who listens; it is spoken to again when it is back, and no container has ended."""
    engine.create("app", "steady")
    await driver.start(APP)
    before = await driver.status(APP)
    heard = driver.watch(lambda: [APP])
    assert await anext(heard) == Notice()
    pieces = driver.logs(APP, str(before.run), None)
    assert (await anext(pieces)).data == b"up\n"
    await asyncio.to_thread(engine.crash)
    try:
        with pytest.raises(ProviderFailed):
            await anext(heard)
        with pytest.raises(ProviderFailed):
            await anext(pieces)
        with pytest.raises(ProviderFailed):
            await driver.status(APP)
    finally:
        await asyncio.to_thread(engine.begin)
    after = await driver.status(APP)
    assert (after.state, after.run) == (State.RUNNING, before.run)
    heard = driver.watch(lambda: [APP])
    assert await anext(heard) == Notice()
    await driver.stop(APP)
    assert await anext(heard) == Notice("app")
    await heard.aclose()  # type: ignore[attr-defined]


async def test_output(engine: Engine, driver: DockerDriver) -> None:
    """Both streams, lines without an end and longer than an engine's own limit."""
    program = "echo first; head -c 70000 /dev/zero | tr '\\0' x; echo; echo error >&2; printf end"
    engine.create("app", "sh", "-c", program)
    await driver.start(APP)
    run = str((await driver.status(APP)).run)
    pieces = [piece async for piece in driver.logs(APP, run, None)]
    assert text(pieces) == b"first\n" + b"x" * 70000 + b"\nend"
    assert text(pieces, Stream.STDERR) == b"error\n"
    again = [piece async for piece in driver.logs(APP, run, None)]
    assert (text(again), text(again, Stream.STDERR)) == (text(pieces), b"error\n")


async def test_output_that_is_no_text(engine: Engine, driver: DockerDriver) -> None:
    """Comes as it was written, where the engine's own log takes more than text: Docker's usual one does not."""
    kind = {"LogConfig": {"Type": "local"}} if isinstance(engine, Docker) else {}
    engine.create("app", "sh", "-c", "printf 'a\\377\\000z\\n'", HostConfig=kind)
    await driver.start(APP)
    run = str((await driver.status(APP)).run)
    assert text([piece async for piece in driver.logs(APP, run, None)]) == b"a\xff\x00z\n"


async def test_output_goes_on_after_each_piece(engine: Engine, driver: DockerDriver) -> None:
    """Nothing is lost and nothing told twice, wherever it is broken off, though many lines have the same time."""
    engine.create("app", "counting")
    await driver.start(APP)
    run = str((await driver.status(APP)).run)
    got: list[Piece] = []
    cursor: str | None = None
    while len(text(got).splitlines()) < 100:
        some = await read(driver.logs(APP, run, cursor), lambda pieces: len(text(pieces)) > 20)
        assert all(earlier.cursor < later.cursor for earlier, later in pairwise(some))
        got += some
        cursor = got[-1].cursor
    await driver.kill(APP)
    await is_(driver, State.STOPPED)
    got += [piece async for piece in driver.logs(APP, run, cursor)]
    lines = text(got).splitlines()
    assert [int(line) for line in lines] == list(range(1, len(lines) + 1))


async def test_output_is_that_of_one_run(engine: Engine, driver: DockerDriver) -> None:
    """Though the engine keeps that of all of them in one log."""
    engine.create("app", "sh", "-c", "cat /proc/sys/kernel/random/uuid; sleep 1.2")
    said = []
    for _ in range(2):
        await driver.start(APP)
        run = str((await driver.status(APP)).run)
        said.append(text([piece async for piece in driver.logs(APP, run, None)]))
        await is_(driver, State.STOPPED)
    assert [37, 37] == [len(words) for words in said]
    assert said[0] != said[1]
    engine.remove("app")
    assert [piece async for piece in driver.logs(APP, run, None)] == []


async def test_output_of_what_was_paused(engine: Engine, driver: DockerDriver) -> None:
    """Goes on when it does, also where nobody has listened before."""
    engine.create("app", "counting")
    await driver.start(APP)
    await driver.pause(APP)
    pieces = driver.logs(APP, str((await driver.status(APP)).run), None)
    first = asyncio.ensure_future(read(pieces, lambda got: len(text(got).splitlines()) > 20))
    await asyncio.sleep(0.5)
    assert not first.done()
    await driver.resume(APP)
    assert text(await first).startswith(b"1\n2\n3\n")


async def test_output_of_a_terminal(engine: Engine, driver: DockerDriver) -> None:
    """Comes without frames, and is one stream."""
    program = "echo first; echo error >&2; head -c 40000 /dev/zero | tr '\\0' x; echo; echo last"
    engine.create("app", "sh", "-c", program, Tty=True)
    await driver.start(APP)
    run = str((await driver.status(APP)).run)
    pieces = [piece async for piece in driver.logs(APP, run, None)]
    assert text(pieces) == b"first\r\nerror\r\n" + b"x" * 40000 + b"\r\nlast\r\n"


async def test_no_output_is_kept(engine: Engine, driver: DockerDriver) -> None:
    """Where the container says so, it ends at once."""
    engine.create("app", "steady", HostConfig={"LogConfig": {"Type": "none"}})
    await driver.start(APP)
    assert [piece async for piece in driver.logs(APP, str((await driver.status(APP)).run), None)] == []


async def reached(endpoint: Endpoint | None) -> bytes:
    """What is answered there."""
    assert endpoint is not None
    for _ in range(500):
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            answer = await reader.read()
            writer.close()
            return answer.rpartition(b"\r\n\r\n")[2]
        await asyncio.sleep(0.02)
    raise AssertionError(f"{endpoint} does not answer")


@pytest.mark.parametrize(
    ("guest", "more"),
    [
        pytest.param({}, {"ExposedPorts": {f"{PORT}/tcp": {}, "53/udp": {}}}, id="the only exposed port"),
        pytest.param({"port": PORT}, {}, id="the bridge"),
        pytest.param({"port": PORT, "network": "torpor"}, {}, id="a named network"),
        pytest.param({"port": PORT}, {"HostConfig": {"NetworkMode": "host"}}, id="the machine's own network"),
        pytest.param(
            {"port": PORT},
            {
                "ExposedPorts": {f"{PORT}/tcp": {}},
                "HostConfig": {"PortBindings": {f"{PORT}/tcp": [{"HostPort": "0"}]}},
            },
            id="a published port",
        ),
        pytest.param(
            {},
            {
                "ExposedPorts": {f"{PORT}/tcp": {}},
                "HostConfig": {"PortBindings": {f"{PORT}/tcp": [{"HostIp": "127.0.0.2", "HostPort": "0"}]}},
            },
            id="a port published on one address",
        ),
    ],
)
async def test_where_it_is_reached(docker: Engine, guest: dict[str, object], more: dict[str, object]) -> None:
    """Each way leads there."""
    driver = DockerDriver(EngineHost(docker.url))
    app = ContainerSpec(name="app", host="docker", **guest)  # type: ignore[arg-type]
    docker.create("app", "web", **more)
    try:
        await driver.start(app)
        assert await reached((await driver.status(app)).endpoint) == b"hello\n"
    finally:
        docker.remove("app")
        await driver.close()


@pytest.mark.parametrize(
    ("guest", "more"),
    [
        pytest.param({}, {}, id="the bridge"),
        pytest.param({"network": "torpor"}, {}, id="a named network"),
        pytest.param({}, {"HostConfig": {"NetworkMode": "host"}}, id="the machine's own network"),
        pytest.param(
            {},
            {
                "ExposedPorts": {f"{PORT}/tcp": {}, f"{PORT + 1}/tcp": {}},
                "HostConfig": {
                    "PortBindings": {
                        f"{PORT}/tcp": [{"HostPort": "0"}],
                        f"{PORT + 1}/tcp": [{"HostPort": "0"}],
                    }
                },
            },
            id="published ports",
        ),
    ],
)
async def test_where_a_further_port_is_reached(
    docker: Engine, guest: dict[str, object], more: dict[str, object]
) -> None:
    """As the main one is; a published one is another one of the machine's."""
    driver = DockerDriver(EngineHost(docker.url))
    app = ContainerSpec(name="app", host="docker", port=PORT + 1, **guest)  # type: ignore[arg-type]
    docker.create("app", "web", **more)
    try:
        await driver.start(app)
        endpoint = (await driver.status(app)).endpoint
        assert endpoint is not None
        assert await reached(endpoint.of_port(PORT)) == b"hello\n"
        if "ExposedPorts" in more:
            assert endpoint.of_port(PORT) not in (None, Endpoint("127.0.0.1", PORT))
    finally:
        docker.remove("app")
        await driver.close()


async def test_a_shared_network(docker: Engine) -> None:
    """The container whose network it shares is asked for the address."""
    driver = DockerDriver(EngineHost(docker.url))
    docker.create("owner", "steady")
    docker.act("start", "owner")
    docker.create("app", "web", HostConfig={"NetworkMode": "container:owner"})
    try:
        await driver.start(APP)
        assert await reached((await driver.status(APP)).endpoint) == b"hello\n"
    finally:
        docker.remove("app")
        docker.remove("owner")
        await driver.close()


async def test_no_way_leads_there(docker: Engine) -> None:
    """What is in the way is told with what would help."""
    driver = DockerDriver(EngineHost(docker.url))
    docker.create(
        "app", "web", ExposedPorts={"80/tcp": {}, "443/tcp": {}}, HostConfig={"NetworkMode": "none"}
    )
    try:
        await driver.start(APP)
        for more, words in (
            ({}, "exposes the ports 80, 443; set `port`"),
            ({"port": 80}, "port 80 is not published"),
            ({"port": 80, "network": "other"}, "no address on the network other, only on: none"),
        ):
            status = await driver.status(ContainerSpec(name="app", host="docker", **more))
            assert status.endpoint is None
            assert words in status.unreachable
        told = await driver.status(ContainerSpec(name="app", host="docker", address="there", port=80))
        assert told.endpoint == Endpoint("there", 80)
    finally:
        docker.remove("app")
        await driver.close()
