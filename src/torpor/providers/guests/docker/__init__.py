"""Containers of Docker and Podman, which speak the same API.  Needs the extra `containers`."""
