"""Bad words on the command line: every subcommand ends with an exit code of its own, and says why in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from experiments.table8 import TABLE
from rollbench.cli.experiment import run
from rollbench.cli.main import main
from tests.support.fuzzing import campaign, is_one_line, texts, told

COMMANDS = {
    "reproduce": ("--scale", "--rows", "--seeds", "--storage", "--data", "--workers", "--groups-per-call", "--tracking-uri", "--set"),
    "ingest": ("--source", "--split", "--size", "--stride", "--frames", "--clips", "--fps", "--camera", "--storage", "--workers"),
    "inspect": ("--sheet", "--storage"),
    "compare": ("--metric", "--storage", "--tracking-uri", "--json"),
    "track": ("--storage", "--out", "--tracking-uri"),
    "fvd": ("--protocol", "--clip", "--real-stride", "--skip-bad", "--backend", "--weights", "--device", "--resamples", "--level",
            "--seed", "--keep", "--plot", "--json"),
}  # fmt: skip
FIRST = {
    "reproduce": ("table8", "table1", "figure4", "table4"),
    "ingest": ("kinetics600", "bair", "folder", "fields"),
    "inspect": ("corpus/9f", "9f7c"),
    "compare": ("table8",),
    "track": ("",),
    "fvd": (".", "nowhere"),
}
# What would leave this machine, or start something: an address that answers, and what is made beneath the file system's root.
argv = texts.filter(lambda text: not text.startswith(("/", "s3:", "gs:", "http")))


@st.composite
def commands(draw: st.DrawFn) -> list[str]:
    """A subcommand, perhaps with what it needs, and options with whatever behind them."""
    name = draw(st.sampled_from(sorted(COMMANDS)))
    head = draw(st.lists(st.one_of(st.sampled_from(FIRST[name]), argv), min_size=1, max_size=2))
    options = draw(st.lists(st.tuples(st.sampled_from(COMMANDS[name]), argv), max_size=3))
    more = draw(st.lists(argv, max_size=1))
    return [name, *head, *(word for option in options for word in option), *more]


def check(arguments: list[str]) -> None:
    code, out, err = told(main, arguments)
    assert code in (0, 1, 2), (code, err)
    assert code != 2 or (out == "" and is_one_line(err)), err
    assert code == 2 or "Traceback" not in err


@campaign(40)
@given(commands())
@example(["inspect", "\0", "--storage", "\0"])
@example(["inspect", "x", "--storage", "s3://"])
@example(["track", "a\nb"])
@example(["track", "--tracking-uri", "a\nb"])
@example(["inspect", "\udcff"])
@example(["ingest", "folder", "--source", "\0"])
@example(["ingest", "folder", "--source", "x" * 5000])
@example(["fvd", "\0", "\0"])
@example(["fvd", "x" * 5000, "."])
@example(["reproduce", "table8", "--workers", "9" * 5000])
def test_words_of_any_kind(arguments: list[str]) -> None:
    if arguments[0] == "reproduce":
        arguments = [
            *arguments,
            "--groups-per-call",
            "0",
        ]  # refused last, so that nothing is computed whatever the rest is
    check(arguments)


@campaign(25)
@given(st.lists(st.one_of(st.sampled_from([o for os in COMMANDS.values() for o in os]), argv), max_size=4))
def test_no_subcommand_or_a_wrong_one(arguments: list[str]) -> None:
    assume(not arguments or arguments[0] not in COMMANDS)
    check(arguments)


@campaign(25)
@given(st.sampled_from(("--rows", "--seeds", "--storage", "--data", "--scale", "--out")), argv)
@example("--storage", "\0")
@example("--data", "folder:\0")
@example("--data", "corpora:")
def test_a_table_is_planned_or_refused(option: str, word: str) -> None:
    """--workers beyond the micro-batches is refused after everything else of a plan."""
    code, out, err = told(lambda a: run(TABLE, a), ["--scale", "smoke", option, word, "--dry-run", "--workers", "64"])
    assert (code, out) == (2, "") and is_one_line(err), err
    assert not list(Path().iterdir())


@pytest.mark.parametrize("text", ["--no\nsuch", "a\u2028b", "a\x85b"])
def test_no_word_makes_two_lines_of_one(text: str) -> None:
    check(["track", text])
