"""Torpor: a service supervisor whose apps sleep until someone knocks."""

__version__ = "0.1.0"
