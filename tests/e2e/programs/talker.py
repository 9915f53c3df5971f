"""A server that speaks first, answers each line, and says good-bye to whoever has said all.

With the name of a PEM file it does so over TLS.
"""

import os
import socketserver
import ssl
import sys


class Talk(socketserver.StreamRequestHandler):
    """One conversation."""

    def handle(self) -> None:
        """Speak first."""
        self.wfile.write(b"220 ready\n")
        for line in self.rfile:
            self.wfile.write(b"you said " + line)
        self.wfile.write(b"bye\n")


class Server(socketserver.ThreadingTCPServer):
    """Many conversations."""

    allow_reuse_address = True
    daemon_threads = True


with Server(("127.0.0.1", int(os.environ["PORT"])), Talk) as server:
    if sys.argv[1:]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1])
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()
