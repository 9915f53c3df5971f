"""Web apps in Python: how each framework is recognised, and how it is run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from torpor.projects.environment import Program
from torpor.projects.found import App, Setting
from torpor.projects.project import Project, first
from torpor.projects.settings import TABS, command_text, web_app
from torpor.projects.source import Source

HOST = "127.0.0.1"
ASGI = {"fastapi": "FastAPI", "starlette": "Starlette", "litestar": "Litestar", "quart": "Quart"}
"""Packages whose class of that name is an ASGI app."""


def streamlit(project: Project, name: str) -> Iterator[App]:
    """A script that imports streamlit."""
    source = first(project.importing("streamlit"))
    if source is None:
        return
    program = project.environment("streamlit", "streamlit").module("streamlit")
    options = ["--server.address", HOST, "--server.port", "$PORT", "--server.headless", "true"]
    yield web_app(
        "Streamlit",
        project,
        name,
        command_text([*program.words, "run", source.file, *options, "--browser.gatherUsageStats", "false"]),
        evidence=[*project.why(source, "streamlit"), program.evidence],
        steps=program.steps,
        health="/_stcore/health",
        more=[Setting("wake_on", "navigation", TABS)],
    )


def gradio(project: Project, name: str) -> Iterator[App]:
    """A script that imports gradio."""
    source = first(project.importing("gradio"))
    if source is None:
        return
    program = project.environment("gradio", "gradio").script(source.file, "gradio")
    where = {"GRADIO_SERVER_NAME": HOST, "GRADIO_ANALYTICS_ENABLED": "False"}
    more = [Setting("wake_on", "navigation", TABS)]
    if source.port is None:
        where["GRADIO_SERVER_PORT"] = "$PORT"
    else:
        more.append(Setting("port", source.port, f"{source.file} names this port itself (server_port)."))
    yield web_app(
        "Gradio",
        project,
        name,
        command_text(program.words),
        evidence=[*project.why(source, "gradio"), program.evidence],
        steps=program.steps,
        health="/",
        more=[Setting("environment", where), *more],
    )


def asgi(project: Project, name: str) -> Iterator[App]:
    """A file that makes an app of FastAPI or one of its relatives."""
    for package, class_name in ASGI.items():
        made = f"{package}.{class_name}"
        for source in project.importing(package):
            if made not in {**source.objects, **source.factories}:
                continue
            factory = made not in source.objects
            target = f"{source.module}:{(source.factories if factory else source.objects)[made]}"
            program = project.environment("uvicorn", package).module("uvicorn", package)
            arguments = [target, *(["--factory"] if factory else []), *_app_dir(source)]
            yield web_app(
                class_name,
                project,
                name,
                command_text([*program.words, *arguments, "--host", HOST, "--port", "$PORT"]),
                evidence=[*project.why(source, package), program.evidence],
                steps=program.steps,
                health=source.health,
            )
            return


def flask(project: Project, name: str) -> Iterator[App]:
    """A file that makes an app of Flask."""
    sources = [s for s in project.importing("flask") if "flask.Flask" in {**s.objects, **s.factories}]
    source = first(sources)
    if source is None:
        return
    factory = "flask.Flask" not in source.objects
    made = (source.factories if factory else source.objects)["flask.Flask"]
    server, module = _wsgi_server(project, "flask", "flask"), source.module
    comment = ""
    if server is not None:
        target = f"{module}:{made}{'()' if factory else ''}"
        arguments = [*(("--chdir", "src") if _app_dir(source) else ()), "--bind", f"{HOST}:$PORT", target]
    else:
        server = project.environment("flask", "flask").module("flask")
        file = f"src/{module}" if _app_dir(source) else module
        arguments = ["--app", f"{file}:{made}", "run", "--host", HOST, "--port", "$PORT"]
        comment = (
            "Flask's own server is meant for development; with gunicorn beside it, `torpor init` takes that."
        )
    yield web_app(
        "Flask",
        project,
        name,
        command_text([*server.words, *arguments]),
        evidence=[*project.why(source, "flask"), server.evidence],
        steps=server.steps,
        health=source.health,
        comment=comment,
    )


def django(project: Project, name: str) -> Iterator[App]:
    """A manage.py that names Django's settings."""
    text = project.folder.read("manage.py") if project.folder.has("manage.py") else None
    package = _settings_package(text) if text is not None else None
    if package is None:
        return
    comment = "Outside of debug mode, ALLOWED_HOSTS of its settings has to name the route's host."
    server = _wsgi_server(project, "django-admin", "django")
    wsgi = f"{package.replace('.', '/')}/wsgi.py"
    if server is not None and project.folder.read(wsgi) is not None:
        arguments = ["--bind", f"{HOST}:$PORT", f"{package}.wsgi"]
    else:
        server = project.environment("django-admin", "django").script("manage.py", "django")
        arguments = ["runserver", "--noreload", f"{HOST}:$PORT"]
        comment += "\nDjango's own server is meant for development; with gunicorn beside it, `torpor init` takes that."
    yield web_app(
        "Django",
        project,
        name,
        command_text([*server.words, *arguments]),
        evidence=[f"manage.py names {package}.settings", server.evidence],
        steps=server.steps,
        comment=comment,
    )


def _wsgi_server(project: Project, program: str, package: str) -> Program | None:
    """gunicorn, where the project names it or has it beside the package."""
    environment = project.environment(program, package)
    if environment.has("gunicorn") or "gunicorn" in project.needs:
        return environment.module("gunicorn", package)
    return None


def _app_dir(source: Source) -> list[str]:
    return ["--app-dir", "src"] if source.file.startswith("src/") else []


def _settings_package(text: bytes) -> str | None:
    """The package whose `settings` manage.py names; None without."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    for call in ast.walk(tree):
        match call:
            case ast.Call(
                args=[ast.Constant(value="DJANGO_SETTINGS_MODULE"), ast.Constant(value=str(module))]
            ):
                found = re.fullmatch(r"(\w+(?:\.\w+)*?)\.settings(?:\.\w+)*", module)
                return found[1] if found else None
    return None
