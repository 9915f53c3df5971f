"""Streams, by the clients that people use: redis-cli, psql, a server that speaks first, half an end."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from e2e.apps import E2E, app, config
from e2e.harness import Launch, wait_for
from ports import free_port

PATH = f"{os.environ['PATH']}:/usr/sbin"
TALKER = E2E / "programs" / "talker.py"


def stream(name: str, port: int, command: str | list[str], **settings: object) -> str:
    """An app with a stream of its own, and no other route."""
    return app(name, command, **{"routes": [f"tcp://127.0.0.1:{port}"], **settings})


def talker(port: int, **settings: object) -> str:
    """See `programs/talker.py`."""
    return stream("talker", port, [sys.executable, str(TALKER)], **settings)


def connect(port: int) -> socket.socket:
    """To a stream."""
    return socket.create_connection(("127.0.0.1", port), 30)


def ask(sock: socket.socket, line: str) -> str:
    """One line there, one line back."""
    sock.sendall(f"{line}\n".encode())
    return read_line(sock)


def read_line(sock: socket.socket) -> str:
    """The next line, without its end; empty at the end of it all."""
    line = b""
    while not line.endswith(b"\n") and (byte := sock.recv(1)):
        line += byte
    return line.decode().removesuffix("\n")


def run(*command: str, **environment: str) -> str:
    """What a program prints that must succeed."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment}
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no Redis here")
def test_redis_wakes_for_its_client_and_sleeps_beside_an_idle_one(launch: Launch) -> None:
    """A forgotten connection keeps nothing awake, and is ended in order when the app sleeps."""
    port = free_port()
    redis = stream("redis", port, "redis-server --port $PORT --bind 127.0.0.1 --save ''", idle_timeout="1s")
    daemon = launch(config(redis))
    assert "asleep" == daemon.apps()["redis"]["state"]

    assert "PONG" == run("redis-cli", "-p", str(port), "ping")
    with connect(port) as forgotten:
        assert "+PONG\r" == ask(forgotten, "PING")
        daemon.wait_for_state("redis", "asleep")
        assert b"" == forgotten.recv(1)
    assert f"tcp://127.0.0.1:{port}" in daemon.cli("show", "redis").out


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no Redis here")
def test_a_client_that_waits_for_an_answer_keeps_the_app_awake(launch: Launch) -> None:
    """BLPOP waits much longer than the idle timeout; the app is at work all the time."""
    port = free_port()
    redis = stream(
        "redis", port, "redis-server --port $PORT --bind 127.0.0.1 --save ''", idle_timeout="300ms"
    )
    daemon = launch(config(redis))
    with connect(port) as waiting:
        waiting.sendall(b"BLPOP list 2\r\n")
        assert "*-1\r" == read_line(waiting)  # the answer to a wait that was for nothing
    assert 1 == daemon.apps()["redis"]["generation"]


def _postgres() -> Path | None:
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"))), None)


@pytest.mark.skipif(_postgres() is None or shutil.which("psql") is None, reason="there is no PostgreSQL here")
def test_psql_wakes_postgresql(launch: Launch, home: Path) -> None:
    """Its handshake, a query that takes longer than the idle timeout, and a large result."""
    binaries = _postgres()
    assert binaries is not None
    data, port = home / "data", free_port()
    user = pwd.getpwuid(os.getuid()).pw_name if os.getuid() else "postgres"
    data.mkdir()
    as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if not os.getuid() else []
    if not os.getuid():
        home.chmod(0o755)
        shutil.chown(data, user, user)
    run(*as_user, f"{binaries}/initdb", "-D", str(data), "-A", "trust", "-U", "me", "--no-sync")
    server = f"{binaries}/postgres -D {data} -p $PORT -h 127.0.0.1 -k ''"
    identity = {} if os.getuid() else {"user": user}
    # It listens before it lets anybody in.
    ready = {"exec": f"{binaries}/pg_isready -h 127.0.0.1 -p $PORT"}
    daemon = launch(config(stream("db", port, server, readiness=ready, idle_timeout="500ms", **identity)))
    psql = ("psql", "-h", "127.0.0.1", "-p", str(port), "-U", "me", "-d", "postgres", "-Atc")

    assert "1" == run(*psql, "select 1 from pg_sleep(2)")
    assert 1 == daemon.apps()["db"]["generation"]
    assert 8 * 1024 * 1024 == len(run(*psql, "select repeat('x', 8 * 1024 * 1024)"))
    daemon.wait_for_state("db", "asleep")
    assert "42" == run(*psql, "select 6 * 7")


@pytest.fixture
def privilege_separation() -> Iterator[None]:
    """The folder without which sshd does not start as root; the system's own start makes it elsewhere."""
    folder = Path("/run/sshd")
    made = os.geteuid() == 0 and not folder.exists()
    if made:
        folder.mkdir(mode=0o755)
    yield
    if made:
        folder.rmdir()


@pytest.mark.skipif(shutil.which("sshd", path=PATH) is None, reason="there is no sshd here")
def test_ssh_wakes_its_server(launch: Launch, home: Path, privilege_separation: None) -> None:
    """Somebody logs in, with keys of this test alone, and gets the exit status of what was run there."""
    port, user = free_port(), pwd.getpwuid(os.geteuid()).pw_name
    for name in ("host", "user"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / name))
    settings = {
        "HostKey": home / "host",
        "AuthorizedKeysFile": home / "user.pub",
        "StrictModes": "no",
        "UsePAM": "no",
        "PidFile": "none",
        "ListenAddress": "127.0.0.1",
    }
    options = [f"-o{name}={value}" for name, value in settings.items()]
    server = [shutil.which("sshd", path=PATH) or "", "-D", "-e", "-f", "/dev/null", "-p", "$PORT", *options]
    daemon = launch(config(stream("shell", port, server, idle_timeout="1s")))
    client = ["ssh", "-F", "none", "-i", str(home / "user"), "-p", str(port), f"{user}@127.0.0.1"]
    trust = [
        "-oBatchMode=yes",
        "-oStrictHostKeyChecking=accept-new",
        f"-oUserKnownHostsFile={home / 'known'}",
    ]

    assert "asleep" == daemon.apps()["shell"]["state"]
    assert "hello" == run(*client, *trust, "echo hello")
    daemon.wait_for_state("shell", "asleep")
    assert 3 == subprocess.run([*client, *trust, "exit 3"], timeout=60, check=False).returncode
    with connect(port) as banner:
        assert read_line(banner).startswith("SSH-2.0-OpenSSH")


@pytest.mark.skipif(shutil.which("dnsmasq", path=PATH) is None, reason="there is no dnsmasq here")
@pytest.mark.skipif(shutil.which("dig") is None, reason="there is no dig here")
def test_a_name_server_is_asked_by_datagrams_and_connections(launch: Launch) -> None:
    """On one address by both, as resolvers do; its port is free for both."""
    port = free_port()
    server = (
        "dnsmasq --no-daemon --port $PORT --listen-address 127.0.0.1 --bind-interfaces --no-resolv --no-hosts"
        f" --conf-file=/dev/null --pid-file --user={pwd.getpwuid(os.geteuid()).pw_name}"
        " --address=/torpor.test/192.0.2.7"
    )
    routes = [f"udp://127.0.0.1:{port}", f"tcp://127.0.0.1:{port}"]
    environment = {"PATH": PATH}
    daemon = launch(config(app("dns", server, routes=routes, idle_timeout="1s", environment=environment)))
    question = ["dig", "@127.0.0.1", "-p", str(port), "+short", "+time=20", "+tries=1", "www.torpor.test"]
    for how in ("+notcp", "+tcp"):
        assert "asleep" == daemon.wait_for_state("dns", "asleep")["state"]
        assert "192.0.2.7" == run(*question, how)


def test_a_server_that_speaks_first(launch: Launch) -> None:
    """As ssh and mail do: the client says nothing until it has been greeted."""
    port = free_port()
    daemon = launch(config(talker(port)))
    with connect(port) as client:
        assert "220 ready" == read_line(client)
        assert "you said hello" == ask(client, "hello")
    who = daemon.apps()["talker"]["woken_by"]
    assert ("TCP", f"127.0.0.1:{port}", "127.0.0.1") == (who["method"], who["path"], who["address"])


def test_half_an_end(launch: Launch) -> None:
    """What `nc -N` does: all is said before the app is up, and all of the answer comes."""
    port = free_port()
    launch(config(talker(port)))
    with connect(port) as client:
        client.sendall(b"hello\n")
        client.shutdown(socket.SHUT_WR)
        said = b""
        while piece := client.recv(4096):
            said += piece
    assert b"220 ready\nyou said hello\nbye\n" == said


def test_a_paused_app_keeps_its_connections(launch: Launch) -> None:
    """The next word on one of them wakes it, and the conversation goes on."""
    port = free_port()
    daemon = launch(config(talker(port, sleep="pause", idle_timeout="300ms")))
    with connect(port) as client:
        assert "220 ready" == read_line(client)
        for _ in range(2):
            daemon.wait_for_state("talker", "paused")
            assert "you said hello" == ask(client, "hello")
    assert 1 == daemon.apps()["talker"]["generation"]


def test_two_servers_share_a_port_by_their_names(launch: Launch, home: Path) -> None:
    """Each has its own certificate, which Torpor never sees; nobody else is let in, or woken."""
    port, names = free_port(), ("one.example", "two.example")
    apps = []
    for name in names:
        pem = home / f"{name}.pem"
        run(
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "1",
                "-subj",
                f"/CN={name}",
            ),
            *("-addext", f"subjectAltName=DNS:{name}", "-keyout", str(pem), "-out", str(pem)),
        )
        route = f"tls://{name}@127.0.0.1:{port}"
        command = [sys.executable, str(TALKER), str(pem)]
        apps.append(app(name.partition(".")[0], command, routes=[route]))
    daemon = launch(config(*apps))

    for name in names:
        context = ssl.create_default_context(cafile=home / f"{name}.pem")
        with connect(port) as raw, context.wrap_socket(raw, server_hostname=name) as client:
            assert "220 ready" == read_line(client)
            assert "you said hello" == ask(client, "hello")
    assert ["ready", "ready"] == [facts["state"] for facts in daemon.apps().values()]
    with connect(port) as raw, pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        ssl.create_default_context().wrap_socket(raw, server_hostname="three.example")


@pytest.mark.skipif(shutil.which("haproxy", path=PATH) is None, reason="there is no HAProxy here")
def test_haproxy_tells_for_whom_it_connects(launch: Launch, home: Path) -> None:
    """By either version; what the app gets is Torpor's own header."""
    program = shutil.which("haproxy", path=PATH)
    assert program is not None
    port, fronts = free_port(), {"send-proxy": free_port(), "send-proxy-v2": free_port()}
    route = {"host": f"tcp://127.0.0.1:{port}", "accept_proxy": True, "send_proxy": "v1"}
    launch(
        config(
            stream("talker", port, [sys.executable, str(TALKER)], routes=[route]), trusted_proxies="127.0.0.1"
        )
    )
    times = "".join(f" timeout {what} 60s\n" for what in ("connect", "client", "server"))
    places = "".join(
        f"listen {front}\n bind 127.0.0.1:{front}\n server it 127.0.0.1:{port} {how}\n"
        for how, front in fronts.items()
    )
    file = home / "haproxy.cfg"
    file.write_text(f"defaults\n mode tcp\n{times}{places}")
    with subprocess.Popen([program, "-db", "-f", str(file)]) as haproxy:
        try:
            for front in fronts.values():
                wait_for("HAProxy listens", partial(_listens, front))
                with connect(front) as client:
                    me = client.getsockname()[1]
                    assert "220 ready" == read_line(client)
                    assert f"you said PROXY TCP4 127.0.0.1 127.0.0.1 {me} {front}\r" == read_line(client)
        finally:
            haproxy.kill()


def test_datagrams_wake_and_are_answered(launch: Launch) -> None:
    """The first one, too, although the app is not even there; silence lets it sleep."""
    port = free_port()
    echo = [sys.executable, str(E2E / "programs" / "echo.py")]
    daemon = launch(config(app("dns", echo, routes=[f"udp://127.0.0.1:{port}"], idle_timeout="1s")))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(30)
        client.connect(("127.0.0.1", port))
        for _ in range(2):
            client.send(b"early")
            assert b"early" == client.recv(100)
            client.send(bytes(60_000))
            assert bytes(60_000) == client.recv(65_535)
            daemon.wait_for_state("dns", "asleep")
    assert 2 == daemon.apps()["dns"]["generation"]


def test_whom_the_app_will_not_serve_is_reset(launch: Launch) -> None:
    """An operator has taken it down: that is no empty conversation."""
    port = free_port()
    daemon = launch(config(talker(port)))
    assert 0 == daemon.cli("stop", "talker").code
    with pytest.raises(ConnectionResetError), connect(port) as client:
        client.recv(1)


def test_addresses_are_taken_over_by_apply(launch: Launch) -> None:
    """Only what has changed is touched: a conversation goes on although its address is gone."""
    old, new = free_port(), free_port()
    daemon = launch(config(talker(old)))
    with connect(old) as client:
        assert "220 ready" == read_line(client)
        daemon.write_config(config(talker(new)))
        assert 0 == daemon.cli("apply").code
        assert "you said still here" == ask(client, "still here")
        with pytest.raises(ConnectionRefusedError):
            connect(old)
        with connect(new) as other:
            assert "220 ready" == read_line(other)

        with socket.create_server(("127.0.0.1", 0)) as taken:
            daemon.write_config(config(talker(taken.getsockname()[1])))
            refused = daemon.cli("apply")
        assert 0 != refused.code
        assert "taken by another program" in refused.err
        assert "you said hello" == ask(client, "hello")


def test_an_address_changes_from_requests_to_a_stream_and_back(launch: Launch) -> None:
    """By `apply`, and nobody is refused there meanwhile."""
    daemon, port, other = launch(config(talker(free_port()))), free_port(), free_port()
    both = [f"127.0.0.1:{other}", f"127.0.0.1:{port}"]
    for _ in range(2):
        daemon.write_config(config(talker(free_port()), listen=both))
        assert "" == daemon.cli("apply").err
        with connect(port) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert read_line(client).startswith("HTTP/1.1 404")
        daemon.write_config(config(talker(port), listen=both[:1]))
        assert "" == daemon.cli("apply").err
        with connect(port) as client:
            assert "220 ready" == read_line(client)


def test_a_conversation_that_is_too_old_ends(launch: Launch) -> None:
    """In order, and others go on; whoever comes again is served."""
    port = free_port()
    daemon = launch(config(talker(port, stream_max_age="300ms")))
    for _ in range(2):
        with connect(port) as client:
            assert "220 ready" == read_line(client)
            assert "" == read_line(client)
    assert 1 == daemon.apps()["talker"]["generation"]


def test_streams_come_and_go_with_apps_that_are_added(launch: Launch) -> None:
    """`torpor run` listens, `torpor rm` does so no more."""
    daemon, port = launch(config(talker(free_port()))), free_port()
    route = f"tcp://127.0.0.1:{port}"
    assert 0 == daemon.cli("run", "--name", "other", "--route", route, "--", sys.executable, str(TALKER)).code
    with connect(port) as client:
        assert "220 ready" == read_line(client)
    assert 0 == daemon.cli("rm", "other").code
    wait_for("nobody listens there", lambda: not _listens(port))


def _listens(port: int) -> bool:
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return False
    return True
