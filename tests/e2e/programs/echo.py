"""Sends each datagram back, once it has come up slowly."""

import os
import socket
import time

time.sleep(0.3)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.bind(("127.0.0.1", int(os.environ["PORT"])))
    while True:
        sock.sendto(*sock.recvfrom(65535))
