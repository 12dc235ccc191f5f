"""SIGTERM and Ctrl-C end a command within seconds, with the exit code that shells and schedulers expect."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

LIMIT_S = 6.0  # an orderly end may take this long; Slurm, systemd and Kubernetes send SIGKILL 10 to 90 s after SIGTERM
EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
STOPPED = "stopped; finished stages are kept, run the same command to resume"


class Interrupts:
    """The first signal that asked the command to stop."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    @property
    def exit_code(self) -> int | None:
        """128 plus the number of the signal; None if there was none."""
        return None if self.signal is None else EXIT_CODES[self.signal]

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt in the main thread, and end the process if that has not ended it within `LIMIT_S`."""
        if self.signal is None:
            self.signal = signal.Signals(number)
            timer = threading.Timer(LIMIT_S, self._exit)
            timer.daemon = True
            timer.start()
            atexit.register(self._leave)  # called first; the timer cannot end a process that hangs in its last clean-up
        raise KeyboardInterrupt

    def _exit(self) -> None:
        print(STOPPED, file=sys.stderr, flush=True)
        self._leave()

    def _leave(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(self.exit_code or 1)


@contextlib.contextmanager
def handled() -> Iterator[Interrupts]:
    """Within this context SIGTERM and SIGINT raise KeyboardInterrupt, and the process ends within `LIMIT_S` of the first.

    An orderly end can hang in a call that holds the main thread, such as one to a cluster that is gone; Ray's processes end with ours.
    Signals are left alone outside the main thread.
    """
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    before = {number: signal.signal(number, interrupts.handle) for number in EXIT_CODES}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
