"""Bytes: the front door.  Parses heads, routes, streams both ways.  Knows no lifecycle beyond `runtime.seam`."""
