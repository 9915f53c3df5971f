"""PM2's ecosystem files in JavaScript, which only node can read: they are run, as PM2 runs them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile

from torpor.errors import CannotImport
from torpor.importers.place import read_text
from torpor.importers.values import Value, from_json

PATIENCE = 10.0
"""Seconds that a configuration may take to say what it is."""

# The result goes to a file of its own: a configuration may print what it likes.  What JSON cannot say becomes
# null or text, so that the setting is still there to be reported.
_PROGRAM = """
const [file, target] = process.argv.slice(1);
const whole = (_, v) => v === undefined ? null : typeof v === 'function' || typeof v === 'bigint' ? String(v) : v;
(async () => {
  let found;
  try { found = require(file); } catch (error) {
    if (error.code !== 'ERR_REQUIRE_ESM' && !file.endsWith('.mjs')) throw error;
    found = await import(require('url').pathToFileURL(file));
  }
  found = found && found.default !== undefined ? found.default : found;
  if (typeof found === 'function') found = found();
  require('fs').writeFileSync(target, JSON.stringify(await found, whole) || 'null');
  process.exit(0);
})().catch(error => { console.error(String(error && error.stack || error)); process.exit(1); });
"""


def from_javascript(file: str) -> Value:
    """What a module exports.  Raises `CannotImport` where there is no node, or the module fails or takes too long."""
    node = shutil.which("node")
    if node is None:
        raise CannotImport(
            f"{file}: is JavaScript, which only node can read, and there is none here",
            hint=f"Where node is: node -p 'JSON.stringify(require(\"./{os.path.basename(file)}\"))' > ecosystem.json; "
            "then import that.",
        )
    read_text(file)
    with tempfile.TemporaryDirectory(prefix="torpor-import-") as folder:
        target = os.path.join(folder, "found.json")
        complaint = _run(
            [node, "-e", _PROGRAM, os.path.abspath(file), target], os.path.dirname(os.path.abspath(file))
        )
        if complaint is not None:
            raise CannotImport(f"{file}: {complaint}")
        return from_json(read_text(target), file)


def _run(argv: list[str], folder: str) -> str | None:
    """Run it with all that it starts; what went wrong."""
    with subprocess.Popen(
        argv,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            _, errors = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return f"node was still reading it after {PATIENCE:g} s, and was ended"
    if process.returncode == 0:
        return None
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    told = next(
        (line for line in lines if "Error" in line),
        lines[0] if lines else f"it ended with {process.returncode}",
    )
    return f"node cannot read it: {told}"
