"""Errors of the user, and the words that end them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """The user's input breaks a rule. One line: the value, the rule, the nearest right choice. The commands exit with 2."""


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """The words that end an error about an unknown name: the closest choice, then all of them.

    A choice with every word of `name` is closer than one that is merely spelt alike.
    """
    choices = list(choices)
    words = name.lower().split()
    holding = [c for c in choices if words and all(w in c.lower().split() for w in words)]
    close = holding[:1] or difflib.get_close_matches(name, choices, n=1, cutoff=0.3)
    listed = ", ".join(repr(c) for c in choices)
    return f"did you mean {close[0]!r}? Choices: {listed}" if close else f"choices: {listed}"
