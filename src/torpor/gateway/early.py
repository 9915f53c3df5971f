"""What the readers of the first bytes of a connection have in common."""


class Incomplete(Exception):
    """More of it is to come."""


class Foreign(Exception):
    """What is expected never begins like this."""
