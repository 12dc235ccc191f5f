"""Turns errors of the user into one line and an exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from rollbench.errors import UserError
from rollbench.store.redact import redact


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, " ".join(f"{self.prog}: {message}; --help lists the options".split()) + "\n")


def argv(arguments: Sequence[str] | None) -> list[str]:
    """The arguments given, else the process' own; a NUL, which ends a text for the system, is no part of any."""
    return [
        word.replace("\0", "\N{REPLACEMENT CHARACTER}") for word in (sys.argv[1:] if arguments is None else arguments)
    ]


def run_guarded(work: Callable[[], int]) -> int:
    """Do `work`, and turn the user's errors into one line and an exit code."""
    from evaluators.base import UserError as EvaluatorError

    try:
        return work()
    except (UserError, EvaluatorError) as error:
        return fail(error)
    except KeyboardInterrupt:
        print("stopped; every finished stage is kept, run the same command to go on", file=sys.stderr)
        return 130
    except RuntimeError as error:  # of a storage too, which is an OSError as well
        print(redact(f"rollbench: {error}"), file=sys.stderr)
        return 1
    except OSError as error:
        name = str(error.filename or "a file")
        return fail(UserError(f"{name[:200]!r} cannot be used ({error.strerror or error}); name another place"))


def fail(error: Exception) -> int:
    print(redact("rollbench: " + " ".join(str(error).split())), file=sys.stderr)
    return 2
