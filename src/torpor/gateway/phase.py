"""What a client connection is doing.

Plain integers: they are compared for every piece of data, and an Enum's members cost more.
"""

AWAITING = 0
"""A request, or the rest of one's head."""
BUSY = 1
"""With an exchange, or with a reply of our own."""
TUNNEL = 2
"""Its bytes go to and fro unread."""
LINGERING = 3
"""It is closed on our side; what still comes is ignored."""
CLOSED = 4
"""It is gone, or as good as gone."""

# Why a connection is not at ease; a connection has an obstacle or several.
BACKEND_FULL = 1
"""It is not read because the app reads too slowly."""
BUFFER_FULL = 2
"""It is not read because enough is read ahead."""
CLIENT_FULL = 4
"""The client reads too slowly: the app is not read, no request is begun."""
