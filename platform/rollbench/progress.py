"""What a person at a terminal (or reading a job's log) sees: one line per finished stage, and a moving line while it works."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TextIO


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days:,} d {hours:02d} h"
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"


class Progress:
    """Lines on a stream. On a terminal the moving line is rewritten in place; in a log it is printed every `every` seconds."""

    def __init__(self, stream: TextIO | None = None, every: float = 20.0) -> None:
        self.stream, self.every = stream or sys.stderr, every
        self.terminal = self.stream.isatty()
        self._moving = False
        self._said = 0.0

    def line(self, text: str) -> None:
        self._clear()
        print(text, file=self.stream, flush=True)

    def moving(self, text: str) -> None:
        """A line that the next one replaces."""
        now = time.monotonic()
        if not self.terminal and now - self._said < self.every:
            return
        self._said = now
        self._show_moving(text)

    def _show_moving(self, text: str) -> None:
        self._clear()
        print(text, file=self.stream, end="" if self.terminal else "\n", flush=True)
        self._moving = self.terminal

    def finished(self, kind: str, title: str, seconds: float, where: str) -> None:
        self.line(f"  {kind:<10} {title:<44} {duration(seconds):>12}   {where}")

    @contextlib.contextmanager
    def bar(self, label: str, total: int, done: int = 0, unit: str = "") -> Iterator[Callable[[], None]]:
        """Yields a function to call after each finished part."""
        start, first, count = time.monotonic(), done, done

        def advance() -> None:
            nonlocal count
            count += 1
            left = (time.monotonic() - start) / (count - first) * (total - count)
            self.moving(f"  {label}: {count}/{total} {unit}, about {duration(left)} left")

        yield advance
        self._clear()

    def _clear(self) -> None:
        if self._moving:
            print("\r\x1b[2K", file=self.stream, end="")
            self._moving = False
