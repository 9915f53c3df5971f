"""A worker: it does a little every few seconds, until it is asked to end."""

import signal
import threading
import time

PAUSE = 5.0
"""Seconds between two rounds."""

ended = threading.Event()


def work() -> None:
    """One round."""
    print(f"at work, {time.strftime('%H:%M:%S')}", flush=True)


def main() -> None:
    """Work, pause, and end between two rounds when asked to."""
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    while not ended.is_set():
        work()
        ended.wait(PAUSE)
    print("done", flush=True)


if __name__ == "__main__":
    main()
