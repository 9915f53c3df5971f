"""The smallest web app that a soak can start a hundred times: answers every request on $PORT."""

import os
import socket

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


def main() -> None:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(os.environ["PORT"])))
    listener.listen(1024)
    while True:
        connection, _ = listener.accept()
        with connection:
            try:
                if connection.recv(65536):
                    connection.sendall(ANSWER)
            except OSError:
                pass  # whoever asked has left


main()
