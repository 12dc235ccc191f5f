"""User errors as one line and an exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from rollbench import interrupts
from rollbench.errors import UserError
from rollbench.store.redact import redact


class Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line and exits with 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, " ".join(f"{self.prog}: {message}; --help lists the options".split()) + "\n")


def argv(arguments: Sequence[str] | None) -> list[str]:
    """`arguments`, by default those of the process, with each NUL replaced: it would end a string for the operating system."""
    return [a.replace("\0", "\N{REPLACEMENT CHARACTER}") for a in (sys.argv[1:] if arguments is None else arguments)]


def run_guarded(work: Callable[[], int]) -> int:
    """Run `work`; returns its exit code, or prints one line and returns the code of the error or of the signal that stopped it."""
    with interrupts.handled() as stop:
        try:
            code = _run_guarded(work)
        except KeyboardInterrupt:
            code = 130
        if stop.exit_code is None and code != 130:
            return code
        print(interrupts.STOPPED, file=sys.stderr)
        return stop.exit_code or code


def _run_guarded(work: Callable[[], int]) -> int:
    from evaluators.base import UserError as EvaluatorError

    try:
        return work()
    except (UserError, EvaluatorError) as error:
        return fail(error)
    except RuntimeError as error:  # also a StorageError, which is an OSError too
        print(redact(f"rollbench: {error}"), file=sys.stderr)
        return 1
    except OSError as error:
        if error.filename is None:
            return fail(UserError(f"the system reports {type(error).__name__}: {error.strerror or error}"))
        return fail(
            UserError(f"{str(error.filename)[:200]!r} cannot be used ({error.strerror or error}); name another place")
        )


def fail(error: Exception) -> int:
    print(redact("rollbench: " + " ".join(str(error).split())), file=sys.stderr)
    return 2
