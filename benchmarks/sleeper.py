"""The smallest honest app: answers every request, listens on $PORT or on an inherited socket.

Standard library only, and little of it, so that its own start is short and even.
"""

import os
import socket


def main() -> None:
    if os.environ.get("LISTEN_FDS"):
        listener = socket.socket(fileno=3)
    else:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(os.environ["PORT"])))
        listener.listen(1024)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    while True:
        connection, _ = listener.accept()
        with connection:
            if connection.recv(65536):
                connection.sendall(answer)


main()
