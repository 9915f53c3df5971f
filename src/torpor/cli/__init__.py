"""Thin verbs: parse, one call on the control socket, render.  Imports nothing heavy."""
