"""`rollbench fvd REAL FAKE`: the FVD of two sets of videos, with no training and no cluster.

    python -m evaluators.command REAL/ FAKE/ --protocol original --clip 16

is the same. Exit codes: 0 done; 2 the input cannot be used (one line says why); 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from evaluators import show, weights
from evaluators.base import UserError
from evaluators.features import Features, extract
from evaluators.protocols import PROTOCOLS
from evaluators.videos import Clip, Reader

if TYPE_CHECKING:
    from evaluators import fvd

DESCRIPTION = "FVD of generated videos from real ones, with its interval, floor and N-curve."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `rollbench fvd`."""
    add = parser.add_argument
    add("real", metavar="REAL", help="folder or file of real clips: mp4, mkv, gif, ..., npy, npz, Arrow shards")
    add("fake", metavar="FAKE", help="folder or file of generated clips")
    add("--protocol", default="original", metavar="NAME", help=f"one of {', '.join(PROTOCOLS)} (default: original)")
    add(
        "--clip",
        type=int,
        metavar="N",
        help="frames scored per clip, from the first on (default: the protocol's, or all)",
    )
    add("--real-stride", type=int, default=1, metavar="N", help="take every N-th frame of REAL (default: 1)")
    add("--skip-bad", action="store_true", help="leave clips out that cannot be read, and count them")
    add("--samples", action="store_true", help="read names <id>_s<number> as samples of the clip <id>")
    add("--any-count", action="store_true", help="accept other counts than the protocol's, under another name")
    add("--backend", default="torch", choices=("torch", "tfhub"), help="I3D in PyTorch, or the TensorFlow-Hub module")
    add("--weights", metavar="PATH", help="the I3D weights, or the module's folder with --backend tfhub")
    add("--device", metavar="NAME", help="cpu, cuda, cuda:1 ... (default: cuda where there is one)")
    add("--fid", action="store_true", help="also the FID of single frames (Inception weights: ROLLBENCH_INCEPTION)")
    add("--resamples", type=int, default=1000, metavar="N", help="of the source clips, for intervals (default: 1000)")
    add("--level", type=float, default=0.95, metavar="P", help="of intervals (default: 0.95)")
    add("--seed", type=int, default=0, metavar="N", help="of resamples, floor and N-curve (default: 0)")
    add("--keep", metavar="DIR", help="keep feature vectors here: the next run needs no network for the same clips")
    add("--plot", metavar="FILE", help="write the N-curve as .png, .pdf or .svg")
    add("--json", action="store_true", help="print JSON instead of text")


def run(arguments: argparse.Namespace) -> int:
    """Score, print, and give the exit code."""
    try:
        if arguments.plot:
            show.check_plot(arguments.plot)
        results = scored(arguments)
        print(show.as_json(results) if arguments.json else "\n".join(map(show.text, results.values())), flush=True)
        if arguments.plot:
            show.plot(results["fvd"], arguments.plot)
    except UserError as error:
        print("rollbench: " + " ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


def scored(arguments: argparse.Namespace) -> dict[str, fvd.Result]:
    """{"fvd": Result} and, with --fid, {"fid": Result}."""
    from evaluators import fid, fvd  # torch: not for the sake of --help

    if arguments.real_stride < 1:
        raise UserError(f"--real-stride {arguments.real_stride}: at least 1 is needed")
    metric = fvd.FVD(
        arguments.protocol, clip=arguments.clip, backend=arguments.backend, weights=arguments.weights,
        device=arguments.device, resamples=arguments.resamples, level=arguments.level, seed=arguments.seed,
        any_count=arguments.any_count,
    )  # fmt: skip
    how = {"skip_bad": arguments.skip_bad, "samples": arguments.samples}
    real = metric.reader(arguments.real, stride=arguments.real_stride, **how)
    fake = metric.reader(arguments.fake, **how)
    for name, reader in (("real", real), ("generated", fake)):
        for line in reader.notes():
            print(f"{name}: {line}", file=sys.stderr)
    # What cannot fit is known before the network runs.
    first = [next(iter(reader), None) for reader in (real, fake)]
    if first[0] and first[1] and first[0].frames.shape != first[1].frames.shape:
        raise UserError(f"{real.path} holds {first[0].size}, {fake.path} {first[1].size}: make the two sides alike")
    ids = [reader.ids() for reader in (real, fake)]
    if ids[0] is not None and ids[1] is not None:
        metric.counted(ids[0], ids[1])

    inception = fid.InceptionFeatures(device=arguments.device) if arguments.fid else None

    def features(how: str, make: Callable[[Iterable[Clip]], Features]) -> tuple[Features, Features]:
        return kept(arguments.keep, how, "real", real, make), kept(arguments.keep, how, "generated", fake, make)

    resize = metric.protocol.resize
    sides = features(
        f"{metric.backend} {resize} {weights.IDENTITY}", lambda clips: extract(metric.extractor, resize, clips)
    )
    results = {"fvd": metric.score(*sides)}
    if inception is not None:
        sides = features(inception.identity, partial(fid.frame_features, inception))
        name = f"{fid.VERSION} {inception.identity} {results['fvd'].name.split(' ', 3)[3]}"
        results["fid"] = fvd.score(
            *sides, name, resamples=arguments.resamples, level=arguments.level, seed=arguments.seed
        )
    return results


def kept(
    folder: str | None, how: str, name: str, reader: Reader, make: Callable[[Iterable[Clip]], Features]
) -> Features:
    """The features of a side, from the folder where an earlier run left them for the same clips and network."""
    start = time.monotonic()
    if folder is None:
        found = make(_Told(name, reader))
    else:
        key = hashlib.sha256(f"{how} {reader.digest()}".encode()).hexdigest()[:24]
        file = Path(folder) / f"features-{key}.npz"
        if file.is_file():
            found = Features.load(file)
            if reader.skip_bad or not found.bad:
                print(f"{name}: {len(found)} vectors kept in {file}", file=sys.stderr)
                return found
        found = make(_Told(name, reader))
        found.save(file)
    left_out = f", {len(found.bad)} left out" if found.bad else ""
    print(f"{name}: {len(found)} vectors{left_out}, {time.monotonic() - start:.0f} s", file=sys.stderr)
    return found


class _Told:
    """A reader that tells on a terminal how far it is."""

    def __init__(self, name: str, reader: Reader) -> None:
        self.name, self.reader = name, reader

    @property
    def bad(self) -> list[str]:
        return self.reader.bad

    def __iter__(self) -> Iterator[Clip]:
        told = time.monotonic()
        for i, clip in enumerate(self.reader):
            yield clip
            if sys.stderr.isatty() and time.monotonic() - told > 2:
                told = time.monotonic()
                print(f"{self.name}: {i + 1} clips ...", end="\r", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; --help lists the options\n")


def main(words: list[str] | None = None) -> int:
    parser = _Parser(prog="rollbench fvd", description=DESCRIPTION)
    add_arguments(parser)
    return run(parser.parse_args(words))


if __name__ == "__main__":
    sys.exit(main())
