"""A small JSON API with FastAPI; its documentation is at /docs."""

from fastapi import FastAPI

app = FastAPI(title="Hello")


@app.get("/")
def index() -> dict[str, str]:
    """Say what there is to ask."""
    return {"try": "/hello/you"}


@app.get("/hello/{name}")
def hello(name: str) -> dict[str, str]:
    """Greet somebody."""
    return {"hello": name}


@app.get("/healthz")
def healthz() -> dict[str, bool]:
    """Torpor asks this to learn that the app is ready."""
    return {"well": True}
