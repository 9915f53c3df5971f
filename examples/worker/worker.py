"""A worker without a port: it does a little and says so, until it is asked to end.

By hand: python worker.py
"""

import signal
import threading

ended = threading.Event()


def work() -> None:
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    signal.signal(signal.SIGINT, lambda *_: ended.set())
    print("at work", flush=True)
    done = 0
    while not ended.wait(5):
        done += 1
        print(f"{done} jobs done", flush=True)
    print("finished properly", flush=True)


if __name__ == "__main__":
    work()
