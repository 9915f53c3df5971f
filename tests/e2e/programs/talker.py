"""A server that speaks first, answers each line, and says good-bye to whoever has said all."""

import os
import socketserver


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
    server.serve_forever()
