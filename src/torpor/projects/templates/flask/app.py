"""A small web app with Flask."""

from flask import Flask, request

app = Flask(__name__)


@app.get("/")
def index() -> str:
    """A page with a form."""
    return """<!doctype html>
<title>Hello</title>
<form action="/hello">
  <label>Your name <input name="name" autofocus></label>
  <button>Say hello</button>
</form>
"""


@app.get("/hello")
def hello() -> dict[str, str]:
    """Greet somebody."""
    return {"hello": request.args.get("name") or "stranger"}


@app.get("/healthz")
def healthz() -> dict[str, bool]:
    """Torpor asks this to learn that the app is ready."""
    return {"well": True}
