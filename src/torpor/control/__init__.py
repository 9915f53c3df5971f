"""The operator's API over a unix socket, and the client that the command line uses."""
