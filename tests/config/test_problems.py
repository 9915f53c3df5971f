"""Everything that is wrong with a file is told at once, each with its place and a way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from torpor.config.load import load
from torpor.errors import ConfigInvalid


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problems_of(text: str, **environ: str) -> list[str]:
    Path("t.yaml").write_text(text)
    with pytest.raises(ConfigInvalid) as caught:
        load("t.yaml", environ)
    return [str(problem) for problem in caught.value.problems]


APP = "apps:\n  a:\n    command: x\n"

ONE_PROBLEM = {
    # the document
    "not a map": ("- a\n", "t.yaml:1:1: a configuration is a map of settings (`apps:` and so on)"),
    "broken yaml": (
        "apps: [\n",
        "t.yaml:2:1: is not valid YAML: while parsing a flow node did not find expected node content",
    ),
    "two documents": (
        "apps: {}\n---\napps: {}\n",
        "t.yaml:3:1: holds a second document; a configuration is one",
    ),
    "unknown anchor": ("apps: *a\n", "t.yaml:1:7: there is no anchor &a above"),
    "variable in braces": (
        "apps: {a: {command: ${X}}}\n",
        (
            "t.yaml:1:22: is not valid YAML: while parsing a flow mapping did not find expected ',' or '}'; inside of {…} "
            "and […], ${VAR} must stand in quotes"
        ),
    ),
    "control character": (
        "apps:\n  \x01: 1\n",
        "t.yaml:2:3: is not valid YAML: control characters are not allowed",
    ),
    "duplicate key": (
        "apps:\n  a: {command: x}\n  a: {command: y}\n",
        "t.yaml:3:3: apps.a: duplicate key, first written at t.yaml:2:3",
    ),
    "a map as key": (
        "apps:\n  {a: b}: c\n",
        "t.yaml:2:3: apps: a key must be a plain word, not a list or a map",
    ),
    "unknown tag": (
        APP + "    shell: !env X\n",
        "t.yaml:4:12: apps.a.shell: the tag !env is not supported; write the plain value",
    ),
    "merge of no map": (
        APP + "    <<: x\n",
        "t.yaml:4:9: apps.a.<<: merges a value that is no map; write <<: *anchor of a map",
    ),
    # keys
    "unknown top key": ("app: {}\n", "t.yaml:1:1: app: unknown key 'app' (did you mean 'apps'?)"),
    "a neighbour's word": (
        "apps:\n  a: {cmd: x}\n",
        "t.yaml:2:7: apps.a.cmd: unknown key 'cmd' (did you mean 'command'?)",
    ),
    "kebab case": (
        APP + "    idle-timeout: 5m\n",
        "t.yaml:4:5: apps.a.idle-timeout: unknown key 'idle-timeout' (did you mean 'idle_timeout'?)",
    ),
    "a word of pm_tiny": (
        APP + "    failure_action: skip\n",
        "t.yaml:4:5: apps.a.failure_action: unknown key 'failure_action' (did you mean 'on_start_timeout'?)",
    ),
    "nothing alike": (APP + "    zzz: 5m\n", "t.yaml:4:5: apps.a.zzz: unknown key 'zzz'"),
    "x- below the top": (APP + "    x-a: 1\n", "t.yaml:4:5: apps.a.x-a: unknown key 'x-a'"),
    "missing key": (
        APP + "    routes: {path: /x}\n",
        "t.yaml:4:5: apps.a.routes: 'host' is missing",
    ),
    "missing value of a key that must be there": (
        APP + "    routes:\n      - {host: 5}\n      - a.org\n",
        "t.yaml:5:16: apps.a.routes.0.host: must be text, not a number; put it in quotes",
    ),
    "short form that quotes would not mend": (
        APP + "    liveness: 5\n",
        "t.yaml:4:15: apps.a.liveness: must be text or a map, not a number",
    ),
    "path that quotes would not mend": (
        APP + "    readiness: {http: 5}\n",
        "t.yaml:4:23: apps.a.readiness.http: must be text, not a number",
    ),
    "name or number, but a fraction": (
        APP + "    exit_codes: 1.5\n",
        "t.yaml:4:17: apps.a.exit_codes: must be a whole number, text or a list, not 1.5",
    ),
    "fraction": (
        APP + "    replicas: 2.5\n",
        "t.yaml:4:15: apps.a.replicas: must be a whole number, not 2.5",
    ),
    "whole number in a form that is none": (
        APP + "    start_limit: {failures: 1e3}\n",
        "t.yaml:4:29: apps.a.start_limit.failures: must be a whole number, not 1000.0; write 1000",
    ),
    "app is a string": ("apps:\n  a: x\n", "t.yaml:2:6: apps.a: must be a map, not the text 'x'"),
    "no value": (
        APP + "    idle_timeout:\n",
        "t.yaml:4:18: apps.a.idle_timeout: has no value; give it text, or remove the key",
    ),
    # scalars
    "bare duration": (
        APP + "    idle_timeout: 30\n",
        "t.yaml:4:19: apps.a.idle_timeout: 30 needs a unit, e.g. 30s or 30m",
    ),
    "quoted bare duration": (
        APP + "    idle_timeout: '30'\n",
        "t.yaml:4:19: apps.a.idle_timeout: '30' needs a unit, e.g. 30s or 30m",
    ),
    "odd duration": (
        APP + "    idle_timeout: soon\n",
        "t.yaml:4:19: apps.a.idle_timeout: 'soon' is not a duration; write it like 30s, 10m, 1h30m or 500ms, or 'never'",
    ),
    "never where it makes no sense": (
        APP + "    wake_timeout: never\n",
        "t.yaml:4:19: apps.a.wake_timeout: 'never' is not a duration; write it like 30s, 10m, 1h30m or 500ms",
    ),
    "zero": (APP + "    wake_timeout: 0s\n", "t.yaml:4:19: apps.a.wake_timeout: must be longer than 0"),
    "bare size": (
        APP + "    log: {max_size: 100}\n",
        "t.yaml:4:21: apps.a.log.max_size: 100 needs a unit, e.g. 512K or 64M",
    ),
    "signal": (
        APP + "    stop_signal: SIGTREM\n",
        "t.yaml:4:18: apps.a.stop_signal: 'SIGTREM' is no signal of this system; write its name, e.g. TERM (did you mean 'TERM'?)",
    ),
    "yaml 1.1 boolean": (
        APP + "    always_on: yes\n",
        "t.yaml:4:16: apps.a.always_on: 'yes' is text; write true",
    ),
    "number for text": (
        "apps:\n  a: {command: 5}\n",
        "t.yaml:2:16: apps.a.command: must be text or a list, not a number; put it in quotes",
    ),
    "enum": (
        APP + "    restart: on_failure\n",
        "t.yaml:4:14: apps.a.restart: 'on_failure' is not one of always, on-failure, no (did you mean 'on-failure'?)",
    ),
    "out of range": (APP + "    port: 70000\n", "t.yaml:4:11: apps.a.port: 70000 is above 65535"),
    "not a number": (
        APP + "    backoff: {factor: .nan}\n",
        "t.yaml:4:23: apps.a.backoff.factor: nan is below 1",
    ),
    # variables
    "unset variable": (
        APP + "    working_dir: ${NOPE}\n",
        "t.yaml:4:18: apps.a.working_dir: the environment variable NOPE is not set; set it or write ${NOPE:-default}",
    ),
    "wanted variable": (
        "apps:\n  a: {command: '${TOKEN:?ask Ann for it}'}\n",
        "t.yaml:2:16: apps.a.command: the environment variable TOKEN is needed: ask Ann for it",
    ),
    # apps
    "no command": (
        "apps:\n  a:\n",
        "t.yaml:2:3: apps.a: has no command; say how to start it, e.g. command: ./serve --port $PORT, or name its container or unit",
    ),
    "name": (
        "apps:\n  Web: {command: x}\n",
        (
            "t.yaml:2:3: apps.Web: is no name for an app: up to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter "
            "or digit (did you mean 'web'?)"
        ),
    ),
    "shell syntax": (
        "apps:\n  a: {command: a && b}\n",
        (
            "t.yaml:2:16: apps.a.command: holds '&&', which only a shell understands: add `shell: true`, or write the "
            "command as a list"
        ),
    ),
    "open quote": (
        'apps:\n  a:\n    command: echo "a\n',
        "t.yaml:3:14: apps.a.command: cannot be split into words: no closing quotation",
    ),
    "empty command": ("apps:\n  a: {command: []}\n", "t.yaml:2:16: apps.a.command: is empty"),
    "list for a shell": (
        "apps:\n  a: {command: [x], shell: true}\n",
        "t.yaml:2:16: apps.a.command: is a list, but `shell: true` wants the shell's text in one string",
    ),
    "no such directory": (
        APP + "    working_dir: nope\n",
        "t.yaml:4:18: apps.a.working_dir: there is no such directory: {home}/nope",
    ),
    "always_on and idle_timeout": (
        APP + "    always_on: true\n    idle_timeout: 5m\n",
        "t.yaml:5:19: apps.a.idle_timeout: has no effect: an app that is always_on never sleeps; remove one of them",
    ),
    "backoff upside down": (
        APP + "    backoff: {initial: 1h}\n",
        "t.yaml:4:14: apps.a.backoff: the longest pause (max) is shorter than the first (initial)",
    ),
    "two words for one thing": (
        APP + "    websocket: {activity: open}\n    websocket_activity: data\n",
        "t.yaml:5:25: apps.a.websocket_activity: says the same as `websocket: {activity: …}`; write one of them",
    ),
    # environment
    "variable name": (
        APP + "    environment: {1A: x}\n",
        "t.yaml:4:19: apps.a.environment.1A: '1A' is no name of a variable",
    ),
    "nothing to pass on": (
        APP + "    environment: [NOPE]\n",
        "t.yaml:4:19: apps.a.environment.0: NOPE has no value and Torpor's own environment has none to pass on",
    ),
    "env file missing": (
        APP + "    env_file: .env\n",
        "t.yaml:4:15: apps.a.env_file: cannot be read: {home}/.env (No such file or directory)",
    ),
    # routes
    "scheme": (
        APP + "    routes: http://a.localhost/x\n",
        "t.yaml:4:13: apps.a.routes: a route has no scheme; write 'a.localhost/x' instead of http://…",
    ),
    "port in a route": (
        APP + "    routes: a.localhost:80\n",
        (
            "t.yaml:4:13: apps.a.routes: 'a.localhost:80': a route has no port; write 'a.localhost' (`gateway.listen` says "
            "where to listen)"
        ),
    ),
    "star alone": (
        APP + "    routes: ['*']\n",
        "t.yaml:4:14: apps.a.routes.0: write 'default' for the app that gets every host that nobody names",
    ),
    "inner star": (
        APP + "    routes: a.*.org\n",
        "t.yaml:4:13: apps.a.routes: 'a.*.org': a wildcard stands for the first part, as in *.example.org, or for a whole domain, as in notes.*",
    ),
    "bad host": (APP + "    routes: a_b-.org\n", "t.yaml:4:13: apps.a.routes: 'a_b-.org' is not a host name"),
    "dots in a path": (
        APP + "    routes: a.org/x/../y\n",
        "t.yaml:4:13: apps.a.routes: '/x/../y' has an empty, '.' or '..' part, which no request ever has",
    ),
    "nothing to strip": (
        APP + "    routes: {host: a.org, strip_prefix: true}\n",
        "t.yaml:4:41: apps.a.routes.strip_prefix: there is no path to strip",
    ),
    "route twice in an app": (
        APP + "    routes: [a.org, A.org]\n",
        "t.yaml:4:13: apps.a.routes: names the same route twice",
    ),
    "route of two apps": (
        APP + "    routes: a.org/x\n  b:\n    command: x\n    routes: a.org/x/\n",
        "t.yaml:7:13: apps.b.routes: 'a.org/x' leads to the app 'a' already (t.yaml:4:5)",
    ),
    "stream of two apps": (
        APP + "    routes: tcp://5432\n  b:\n    command: x\n    routes: [tcp://127.0.0.1:5432]\n",
        "t.yaml:7:13: apps.b.routes: 'tcp://127.0.0.1:5432' leads to the app 'a' already (t.yaml:4:5)",
    ),
    "stream where the gateway listens": (
        APP + "    routes: tcp://8080\n",
        "t.yaml:4:13: apps.a.routes: tcp://127.0.0.1:8080 is where the gateway takes requests",
    ),
    "stream with and without a name": (
        APP + "    routes: [tcp://5432, tls://a.org:5432]\n",
        "t.yaml:4:13: apps.a.routes: tls://a.org@127.0.0.1:5432 and tcp://127.0.0.1:5432 share an address: both take tls:// and accept_proxy, or neither",
    ),
    "stream behind nobody": (
        APP + "    routes: {host: tcp://5432, accept_proxy: true}\n",
        "t.yaml:4:13: apps.a.routes: tcp://127.0.0.1:5432: accept_proxy lets nobody in without `gateway.trusted_proxies`",
    ),
    "stream with a path": (
        APP + "    routes: {host: tcp://5432, path: /x}\n",
        "t.yaml:4:38: apps.a.routes.path: is for requests; a stream has none",
    ),
    "host with a proxy": (
        APP + "    routes: {host: a.org, send_proxy: v2}\n",
        "t.yaml:4:39: apps.a.routes.send_proxy: is for tcp:// and tls:// only",
    ),
    "stream without an address": (
        APP + "    routes: [tcp://:5432]\n",
        (
            "t.yaml:4:14: apps.a.routes.0: ':5432': say which addresses: 127.0.0.1:5432 for this machine only, "
            "0.0.0.0:5432 for every network"
        ),
    ),
    "port of two apps": (
        APP + "    port: 9000\n  b:\n    command: x\n    port: 9000\n",
        "t.yaml:7:11: apps.b.port: 9000 is the port of the app 'a' already (t.yaml:4:5)",
    ),
    "port of another app's route": (
        APP + "    port: 9000\n  b:\n    command: x\n    routes: {host: b.org, port: 9000}\n",
        "t.yaml:7:13: apps.b.routes: 9000 is the port of the app 'a' already (t.yaml:4:5)",
    ),
    "port of a route of two apps": (
        APP + "    routes: {host: a.org, port: 22}\n  b:\n    command: x\n    port: 22\n",
        "t.yaml:7:11: apps.b.port: 22 is the port of the app 'a' already (t.yaml:4:5)",
    ),
    "port of a route at the gateway": (
        APP + "    routes: {host: a.org, port: 8080}\n",
        "t.yaml:4:13: apps.a.routes: 8080 is where the gateway listens",
    ),
    "port of a route at a socket": (
        APP + "    address: unix:./a.sock\n    routes: {host: a.org, port: 22}\n",
        (
            "t.yaml:5:33: apps.a.routes.port: the app listens at unix:./a.sock, which has no ports; let it listen at a port, "
            "or leave this out"
        ),
    ),
    "port of a route and activation": (
        APP + "    activation: true\n    routes: [a.org, {host: tcp://2222, port: 22}]\n",
        "t.yaml:5:46: apps.a.routes.1.port: with `activation` the app is handed the one socket that all of its routes lead to",
    ),
    "port of a route of replicas": (
        APP + "    replicas: 2\n    routes: [{host: a.org, port: 22}]\n",
        "t.yaml:5:34: apps.a.routes.0.port: 2 replicas cannot share one port; let this route lead to $PORT as well",
    ),
    "port of a route that is none": (
        APP + "    routes: {host: a.org, port: 70000}\n",
        "t.yaml:4:33: apps.a.routes.port: 70000 is above 65535",
    ),
    "port of the gateway": (
        APP + "    port: 8080\n",
        "t.yaml:4:11: apps.a.port: 8080 is where the gateway listens",
    ),
    # readiness
    "readiness word": (
        APP + "    readiness: tcp\n",
        (
            "t.yaml:4:16: apps.a.readiness: 'tcp' is not a path like /healthz; a map names another way, e.g. {tcp: true} or "
            "{log: 'listening on'}"
        ),
    ),
    "http without slash": (
        APP + "    readiness: {http: healthz}\n",
        "t.yaml:4:23: apps.a.readiness.http: 'healthz' is not a path; it must begin with '/'",
    ),
    "codes alone": (
        APP + "    readiness: {codes: 200}\n",
        "t.yaml:4:24: apps.a.readiness.codes: are the statuses of an `http` probe, but there is none",
    ),
    "codes upside down": (
        APP + "    readiness: {http: /, codes: [399-200]}\n",
        "t.yaml:4:34: apps.a.readiness.codes.0: '399-200' is neither a status nor a range like 200-299",
    ),
    "regular expression": (
        APP + "    readiness: {log: '('}\n",
        (
            "t.yaml:4:22: apps.a.readiness.log: '(' is not a regular expression: missing ), unterminated subpattern at "
            "position 0"
        ),
    ),
    "exec probe": (APP + "    readiness: {exec: ''}\n", "t.yaml:4:23: apps.a.readiness.exec: is empty"),
    # loading page
    "template missing": (
        APP + "    loading_page: {template: p.html}\n",
        "t.yaml:4:30: apps.a.loading_page.template: cannot be read: {home}/p.html (No such file or directory)",
    ),
    "template is a directory": (
        APP + "    loading_page: {template: .}\n",
        "t.yaml:4:30: apps.a.loading_page.template: is not a file: {home}",
    ),
    # gateway
    "every interface or one": (
        "gateway: {listen: ':80'}\n",
        (
            "t.yaml:1:19: gateway.listen: ':80': say which addresses: 127.0.0.1:80 for this machine only, 0.0.0.0:80 for "
            "every network"
        ),
    ),
    "address": (
        "gateway: {listen: [localhost]}\n",
        "t.yaml:1:20: gateway.listen.0: 'localhost' is not HOST:PORT, e.g. 127.0.0.1:8080",
    ),
    "ipv6 without brackets": (
        "gateway: {listen: '::1:80'}\n",
        "t.yaml:1:19: gateway.listen: '::1:80': put the IPv6 address in brackets, e.g. '[::1]:80'",
    ),
    "listens twice": (
        "gateway: {listen: [80, '127.0.0.1:80']}\n",
        "t.yaml:1:24: gateway.listen.1: listens on 127.0.0.1:80 a second time",
    ),
    "no certificate": (
        "gateway: {listen: {address: 1, tls: {cert: c, key: t.yaml}}}\n",
        "t.yaml:1:44: gateway.listen.tls.cert: cannot be read: {home}/c (No such file or directory)",
    ),
    "network": (
        "gateway: {trusted_proxies: [10.0.0.0/99]}\n",
        "t.yaml:1:29: gateway.trusted_proxies.0: '10.0.0.0/99' is not an address or network, e.g. 10.0.0.0/8",
    ),
    "limits": (
        "gateway:\n  limits: {headers_size: 1K}\n",
        "t.yaml:2:11: gateway.limits: request_line is larger than headers_size, which includes it",
    ),
    # include
    "include missing": ("include: b.yaml\n", "t.yaml:1:10: include: there is no such file: b.yaml"),
    "include itself": (
        "include: [t.yaml]\n",
        "t.yaml:1:11: include.0: includes go in a circle: t.yaml → t.yaml",
    ),
}


@pytest.mark.parametrize(("text", "expected"), ONE_PROBLEM.values(), ids=ONE_PROBLEM)
def test_one_mistake_is_one_problem(text: str, expected: str, home: Path) -> None:
    """A file with a single mistake gives exactly one problem, at the right place, in these words."""
    assert [expected.replace("{home}", str(home))] == problems_of(text)


def test_one_run_tells_everything(home: Path) -> None:
    """Mistakes of different kinds, in different apps and files, are told together, in the order of the text."""
    (home / "apps").mkdir()
    (home / "apps" / "b.yaml").write_text(
        "gateway: {}\napps:\n  web: {command: x, routes: [1, 'http://h', a.org]}\n"
    )
    (home / ".env").write_text("A=1\nnot a pair\nB='open\n")
    found = problems_of(
        "gateway:\n  listen: :8080\ninclude: apps/*.yaml\napps:\n  web:\n    comand: x\n    idle_timeout: 30\n"
        "    routes: a b\n    env_file: .env\n"
    )
    expected = [
        (
            "t.yaml:2:11: gateway.listen: ':8080': say which addresses: 127.0.0.1:8080 for this machine only, 0.0.0.0:8080 "
            "for every network"
        ),
        "t.yaml:6:5: apps.web.comand: unknown key 'comand' (did you mean 'command'?)",
        "t.yaml:7:19: apps.web.idle_timeout: 30 needs a unit, e.g. 30s or 30m",
        "t.yaml:8:13: apps.web.routes: 'a b' is not a host name",
        "apps/b.yaml:1:1: gateway: belongs into the main file, t.yaml",
        "apps/b.yaml:3:3: apps.web: there is an app of this name at t.yaml:5:3",
        "apps/b.yaml:3:30: apps.web.routes.0: must be text or a map, not a number",
        f"{home}/.env:2:1: apps.web.env_file: is not NAME=value",
        f"{home}/.env:3:1: apps.web.env_file: the value's ' is never closed",
    ]
    assert expected == found


def test_the_places_of_a_list_survive_a_wrong_item() -> None:
    """A wrong item of a list does not hide, nor move, a mistake in a later one."""
    expected = [
        "t.yaml:5:9: apps.a.routes.0: must be text or a map, not a number",
        "t.yaml:7:9: apps.a.routes.2: 'b c' is not a host name",
    ]
    assert expected == problems_of(APP + "    routes:\n      - 1\n      - a.org\n      - b c\n")


def test_a_mistake_in_the_defaults_is_told_once(home: Path) -> None:
    """Two apps that share a wrong default give one problem, where the default is written."""
    expected = [f"t.yaml:1:25: defaults.working_dir: there is no such directory: {home}/nope"]
    assert expected == problems_of(
        "defaults: {working_dir: nope}\napps:\n  a: {command: x}\n  b: {command: y}\n"
    )


def test_a_broken_template_is_a_problem_of_the_config(home: Path) -> None:
    """An unknown placeholder and a page that would never reload are told when the file is loaded."""
    (home / "p.html").write_text("<h1>{{ap}}</h1>\n{{ x }}")
    where = "t.yaml:4:30: apps.a.loading_page.template: the template p.html:"
    expected = [
        f"{where} line 1: unknown placeholder 'ap' (did you mean 'app'?)",
        (
            f"{where} line 2: unknown placeholder 'x'; known are app, title, state, elapsed, eta, refresh, steps, logs, "
            "script, events_url, reason"
        ),
        f"{where} has neither {{{{script}}}} nor {{{{refresh}}}}: the page would never reload",
    ]
    assert expected == problems_of(APP + "    loading_page: {template: p.html}\n")


def test_a_circle_of_includes_names_all_its_files(home: Path) -> None:
    """Includes that come back to a file on their own way are refused with the way."""
    (home / "b.yaml").write_text("include: c.yaml\n")
    (home / "c.yaml").write_text("include: t.yaml\n")
    expected = ["c.yaml:1:10: include: includes go in a circle: t.yaml → b.yaml → c.yaml → t.yaml"]
    assert expected == problems_of("include: b.yaml\n")


def test_a_file_that_is_not_there_is_told() -> None:
    """A file that cannot be opened is a problem with the system's reason."""
    with pytest.raises(ConfigInvalid) as caught:
        load("nope.yaml", {})
    assert "nope.yaml:1:1: cannot be read: No such file or directory" == str(caught.value)


def test_aliases_can_not_blow_up_memory() -> None:
    """Aliases of aliases ('billion laughs') are stopped by a budget, not by the kernel."""
    lines = ["x-0: &x0 [a, a, a, a, a, a, a, a, a, a]"]
    lines += [f"x-{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]" for n in range(1, 9)]
    (found,) = problems_of("\n".join(lines) + "\n")
    assert "aliases expand to more than 200000 values" in found


def test_nesting_is_bounded() -> None:
    """Deep nesting is refused with its place, not with a crash of the parser."""
    (found,) = problems_of("apps: " + "[" * 100_000)
    assert "nested deeper than 50 levels" in found


def test_an_alias_inside_itself_is_refused() -> None:
    """A value that contains itself has no end and is refused."""
    (found,) = problems_of("x-a: &a [*a]\n")
    assert "an alias inside itself?" in found


def test_a_huge_file_is_refused() -> None:
    """A file beyond the size limit is not even parsed."""
    assert ["t.yaml:1:1: is larger than 4 MiB"] == problems_of("#" * (4 * 1024 * 1024 + 1))


def test_bytes_that_are_no_text_are_refused() -> None:
    """A file that is not UTF-8 is told with the place of the first bad byte."""
    Path("t.yaml").write_bytes(b"apps:\n  \xff: 1\n")
    with pytest.raises(ConfigInvalid) as caught:
        load("t.yaml", {})
    assert "t.yaml:2:3: is not UTF-8 text" == str(caught.value)
