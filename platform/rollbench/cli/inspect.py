"""`rollbench inspect KEY`: what an artifact holds, what it was computed from, whether it is intact, and a contact sheet of its clips.

    rollbench inspect 9f7c0c --sheet contact.png
    rollbench inspect 9f7c0c --verify

KEY is the key of an artifact of any kind, or the beginning of one, as `rollbench ingest`, manifests and reports print it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rollbench.cli.options import add_storage
from rollbench.config.canonical import flat, key
from rollbench.errors import UserError, did_you_mean
from rollbench.pipeline.corpora import KIND
from rollbench.pipeline.graph import VERSIONS
from rollbench.store.artifact import Artifact, Damaged, Store
from rollbench.store.tensors import tensor_of

HELP = "show what an artifact holds and what it was computed from"
KINDS = (KIND, *VERSIONS)
SHOWN_ELSEWHERE = ("files", "made", "title", "digest", "key", "kind", "configuration")
STRIPS, LISTED = 8, 20  # clips on a contact sheet; lines of a list


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("key", metavar="KEY", help="the key of an artifact, or the beginning of one")
    add("--sheet", metavar="FILE", help="write a contact sheet of some clips, as .png, .jpg or .webp")
    add(
        "--verify",
        action="store_true",
        help="check the key against the stored configuration, and every file's checksum",
    )
    add_storage(parser)


def run(options: argparse.Namespace) -> int:
    """Print what the artifact holds; 1 if it is damaged or, with --verify, if its key does not follow from its configuration."""
    artifact = _artifact(Store(options.storage), options.key)
    manifest = artifact.manifest()
    if manifest is None:
        receipts = artifact.receipts()
        print(f"{artifact}: unfinished, {len(receipts)} files so far, in {artifact.path}")
        print("\n".join(_faults([fault for r in receipts.values() for fault in r.get("quarantined", [])])))
        return 0
    damage = artifact.damage()
    print("\n".join(_lines(artifact, manifest, damage)))
    if options.verify:
        faults = verify(artifact, manifest)
        print("\n".join(f"  verified  NO: {fault}" for fault in faults) or "  verified  key and every file")
        damage = damage or dict.fromkeys(faults, "")
    if options.sheet:
        _draw(artifact, manifest, Path(options.sheet))
        print(f"  sheet     {options.sheet}")
    return 1 if damage else 0


def _artifact(store: Store, prefix: str) -> Artifact:
    """The only artifact whose key begins with `prefix`, which may have the kind in front, as in corpus/9f7c."""
    kind, _, start = prefix.rpartition("/")
    artifacts = [store.artifact(k, name) for k in KINDS if kind in ("", k) for name in store.keys(k)]
    matches = [artifact for artifact in artifacts if artifact.key.startswith(start)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UserError(
            f"{prefix!r} begins {len(matches)} keys, {matches[0]} and {matches[1]} among them; give more digits"
        )
    close = did_you_mean(start, [str(artifact) for artifact in artifacts][:LISTED]) if artifacts else "it is empty"
    raise UserError(f"no artifact {prefix!r} in storage {str(store)!r}; {close}")


def verify(artifact: Artifact, manifest: dict[str, Any]) -> list[str]:
    """What is wrong with an artifact, from its folder alone: its key against the stored configuration, each file against its checksum."""
    configuration = manifest.get("configuration")
    if configuration is None:
        return ["the manifest stores no configuration"]
    expected = [] if (hashed := key(configuration)) == artifact.key else [f"the configuration has the key {hashed}"]
    return expected + [fault for entry in manifest["files"] if (fault := _damage(artifact, entry))]


def _damage(artifact: Artifact, entry: dict[str, Any]) -> str:
    try:
        artifact.read(entry)
    except Damaged as damaged:
        return str(damaged)
    return ""


def _configuration_lines(configuration: dict[str, Any]) -> Iterator[str]:
    """The upstream keys, then every field of the configuration under its dotted name."""
    yield from (f"  upstream  {name}: {upstream}" for name, upstream in configuration.get("upstream", {}).items())
    fields = {name: value for name, value in configuration.items() if name not in ("upstream", "stage")}
    yield from (f"  config    {name} = {_short(value)}" for name, value in flat(fields))


def _lines(artifact: Artifact, manifest: dict[str, Any], damage: dict[str, str]) -> Iterator[str]:
    files, made = manifest["files"], manifest.get("made", {})
    yield f"{artifact}: {manifest.get('title', '')}"
    yield f"  path      {artifact.path}"
    if made:
        yield f"  made      in {made['seconds']} s on {made['device']}, commit {made['commit']}"
    yield f"  files     {len(files):,} of {sum(f['bytes'] for f in files) / 1e6:,.1f} MB in all, digest {manifest['digest']}"
    yield f"  intact    {'yes' if not damage else 'NO'}"
    yield from (f"    {fault}" for fault in damage.values())
    yield from _configuration_lines(manifest.get("configuration", {}))
    if "corpus" in manifest:
        yield from _corpus_lines(manifest)
    else:
        shown = {k: v for k, v in manifest.items() if k not in SHOWN_ELSEWHERE}
        yield from (f"  {name:<9} {_short(value)}" for name, value in sorted(shown.items()))


def _corpus_lines(manifest: dict[str, Any]) -> Iterator[str]:
    fields = {name: value for name, value in manifest["corpus"].items() if name != "is"}
    shape = " x ".join(map(str, manifest["frame_shape"]))
    yield f"  data set  {manifest['corpus']['is']} {' '.join(f'{name}={_short(value)}' for name, value in fields.items())}"
    yield f"  source    {manifest['source']}, listing {manifest['listing'][:16]}"
    yield f"  clips     {manifest['clips']:,} for {manifest['split']}, from {manifest['items']:,} items of the source"
    yield f"  frames    {manifest['frames']} of {shape} ({manifest['kind']}), every {manifest['frame_interval']:g} s"
    for channel, mean, std in zip(manifest["channels"], manifest["mean"], manifest["std"], strict=True):
        unit = f" {channel['unit']}" if channel["unit"] else ""
        yield f"  channel   {channel['name']}: mean {mean:.6g}, standard deviation {std:.6g}{unit}"
    yield from _faults(manifest["quarantined"])


def _faults(faults: list[dict[str, str]]) -> Iterator[str]:
    yield f"  left out  {len(faults):,}"
    yield from (f"    {fault['source']}: {fault['reason']}" for fault in faults[:LISTED])
    if len(faults) > LISTED:
        yield f"    and {len(faults) - LISTED:,} more, in the manifest"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 160 else f"{text[:160]} …"


def _draw(artifact: Artifact, manifest: dict[str, Any], out: Path) -> None:
    """A contact sheet of clips that are evenly spread over the stage."""
    from reports.figures.contact_sheet import contact_sheet

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        contact_sheet(list(_strips(artifact, manifest))).save(out)
    except (OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"--sheet {out} cannot be written ({error}); use a name such as contact.png") from None


def _strips(artifact: Artifact, manifest: dict[str, Any]) -> Iterator[Any]:
    from reports.figures.contact_sheet import Strip, field_strip
    from reports.figures.panels import evenly

    files = [file for file in manifest["files"] if file["name"].endswith(".arrow") and file.get("rows")]
    total = sum(file["rows"] for file in files)
    wanted = set(evenly(total, STRIPS)) if total else set()
    first = 0
    for file in files:
        rows = [row - first for row in wanted if first <= row < first + file["rows"]]
        first += file["rows"]
        if not rows:
            continue
        table = artifact.read_table(file)
        if not {"frames", "clip_id"} <= set(table.column_names):
            break
        clips = tensor_of(table, "frames")
        for row in sorted(rows):
            name, clip = str(table["clip_id"][row]), clips[row]
            if clip.dtype == np.uint8:
                yield Strip(name, clip)
                continue
            for i in range(clip.shape[1]):
                mean, std = (
                    manifest[key][i] if key in manifest else getattr(clip[:, i], key)() for key in ("mean", "std")
                )
                title = manifest["channels"][i]["name"] if "channels" in manifest else f"channel {i}"
                yield field_strip(f"{name}   {title}", clip[:, i], float(mean), float(std))
    if not wanted or not rows:
        raise UserError(f"{artifact} holds no clips to draw; leave --sheet away")
