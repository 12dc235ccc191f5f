"""What a stranger's file or name cannot do, and what nobody outside may read: planted pickles, paths, ports and secrets.

That no file of ours reads a pickle at all is `test_layout.py`; here malicious ones lie wherever data is read from.
"""

import contextlib
import io
import json
import os
import pickle
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from rollbench.engine.model import WEIGHTS, load_denoiser
from rollbench.errors import UserError
from rollbench.store.artifact import MANIFEST, RECEIPT, Artifact, Damaged, Store, sha256
from rollbench.store.manifest import checksum, sealed
from rollbench.store.redact import redact, short_message
from rollbench.training import checkpoint
from tests.faults.storage import bucket, uri
from tests.faults.table import ROOT, Small


class Bomb:
    """Pickled, it writes a file as soon as it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "it-ran"


@pytest.fixture
def bomb(mark: Path) -> bytes:
    data = pickle.dumps(Bomb(mark))
    pickle.loads(data)  # noqa: S301 - it does run where it is opened
    assert mark.exists()
    mark.unlink()
    return data


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    return Store(str(tmp_path / "store")).artifact("data", "0123abcd")


# --- pickles ------------------------------------------------------------------------------------------------------------------
def test_weights_that_are_a_pickle_are_not_run(bomb: bytes, mark: Path, tmp_path: Path) -> None:
    """Published like any others, with their right hash: who can write the storage still cannot run code on the nodes."""
    from experiments.table8 import TABLE
    from rollbench.config.scale import at_scale, scale
    from rollbench.pipeline.graph import build_pipeline

    store = Store(str(tmp_path / "store"))
    model = build_pipeline(at_scale(TABLE, scale("smoke")), ["MSE (2-1)"]).rows[0].model
    artifact = model.artifact(store)
    artifact.commit([artifact.write(WEIGHTS, bomb)])
    with pytest.raises(Exception, match=r"(?i)header|safetensor"):
        load_denoiser(model, store)
    assert not mark.exists()


@pytest.mark.parametrize("file", [checkpoint.TENSORS, checkpoint.FACTS, checkpoint.SUMS])
def test_a_checkpoint_that_is_a_pickle_is_not_run(bomb: bytes, mark: Path, tmp_path: Path, file: str) -> None:
    import torch

    step = checkpoint.save(tmp_path / "model", "step-00000001", {"x": torch.zeros(2)}, {"step": 1})
    (step / file).write_bytes(bomb)
    if file != checkpoint.SUMS:
        lines = [f"{sha256((step / name).read_bytes())}  {name}\n" for name in (checkpoint.TENSORS, checkpoint.FACTS)]
        (step / checkpoint.SUMS).write_text("".join(lines))
    with pytest.raises(checkpoint.Damaged):
        checkpoint.load(step)
    with pytest.warns(UserWarning, match="damaged checkpoint"):
        assert checkpoint.load_latest(tmp_path / "model") is None
    assert not mark.exists()


def test_a_manifest_a_receipt_or_a_shard_that_is_a_pickle_is_not_run(
    bomb: bytes, mark: Path, artifact: Artifact
) -> None:
    receipt = artifact.write("part-0.arrow", bomb)
    with pytest.raises(Damaged):
        artifact.read_table(receipt)
    with pytest.raises(pa.ArrowInvalid):
        pyarrow.parquet.read_table(pa.BufferReader(artifact.read(receipt)))
    for name in (MANIFEST, f"part-0.arrow{RECEIPT}"):
        artifact.put(name, bomb)
    assert artifact.manifest() is None and artifact.receipts() == {} and not mark.exists()


def test_an_arrow_type_that_is_a_pickle_is_not_run(bomb: bytes, mark: Path, artifact: Artifact) -> None:
    """Old Arrow kept Python's own extension types as pickles in a file's metadata."""
    metadata = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": bomb}
    schema = pa.schema([pa.field("frames", pa.binary(), metadata=metadata)])
    table = pa.table([pa.array([b"x"])], schema=schema)
    artifact.read_table(artifact.write_table("part-0.arrow", table)).to_pylist()
    assert not mark.exists()


@pytest.mark.parametrize("ending", [".npy", ".npz"])
def test_arrays_that_are_pickles_are_refused(mark: Path, tmp_path: Path, ending: str) -> None:
    from evaluators.base import UserError as EvaluatorError
    from evaluators.videos import Reader
    from rollbench.datasets.files.arrays import variables

    file = tmp_path / "clips" / f"a{ending}"
    file.parent.mkdir()
    array = np.array([Bomb(mark)], dtype=object)
    np.save(file, array, allow_pickle=True) if ending == ".npy" else np.savez(file, frames=array)
    with pytest.raises((EvaluatorError, UserError)):
        list(Reader(file.parent))
    with contextlib.suppress(UserError), variables(file) as found:
        assert not found  # an archive's arrays that are no numbers are passed over
    assert not mark.exists()


# --- names --------------------------------------------------------------------------------------------------------------------
ESCAPES = ("../x", "..", ".", "", "/etc/x", "a/b", "a\\b", "a\0b", "a\nb", ".hidden", "x" * 300)


@pytest.mark.parametrize("name", ESCAPES)
def test_no_name_leads_out_of_a_stage(artifact: Artifact, name: str) -> None:
    for use in (
        lambda: artifact.write(name, b"x"),
        lambda: artifact.read({"name": name, "bytes": 1, "sha256": ""}),
        lambda: artifact.invalidate([name]),
        lambda: artifact.store.artifact(name, "k"),
        lambda: artifact.store.artifact("data", name),
    ):
        with pytest.raises(UserError, match="is not a valid name in a storage"):
            use()
    assert not list(Path(artifact.store.path).rglob("*x*"))


def test_a_manifest_that_names_a_file_outside_counts_as_none(artifact: Artifact, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"abc")
    manifest = artifact.commit([artifact.write("a.bin", b"abc")])
    for name in ("../../../outside", str(outside), 7, None, ["a"]):
        manifest["files"][0]["name"] = name
        manifest["seal"] = checksum(manifest)
        artifact.put(MANIFEST, json.dumps(manifest).encode())
        entry = manifest["files"][0]
        artifact.put(f"a.bin{RECEIPT}", json.dumps(sealed(entry)).encode())
        assert artifact.manifest() is None and artifact.receipts() == {}
    artifact.remove()
    assert outside.read_bytes() == b"abc"


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(digest="0" * 64), lambda m: m.update(mean=[1.0]), lambda m: m["files"].clear(),
        lambda m: m.update(files=7), lambda m: m.update(schema_version="1"), lambda m: m["files"].append(3),
    ],
)  # fmt: skip
def test_an_altered_manifest_counts_as_none_and_the_stage_is_published_again(
    artifact: Artifact, change: Callable[[dict[str, Any]], Any]
) -> None:
    manifest = artifact.commit([artifact.write("a.bin", b"abc")], mean=[0.5])
    altered = json.loads(json.dumps(manifest))
    change(altered)
    artifact.put(MANIFEST, json.dumps(altered).encode())
    assert artifact.manifest() is None
    assert artifact.commit(artifact.receipts().values(), mean=[0.5]) == manifest == artifact.manifest()


def test_a_manifest_of_a_newer_version_is_left_alone(artifact: Artifact) -> None:
    artifact.put(MANIFEST, json.dumps({"schema_version": 99, "shards": {}}).encode())
    with pytest.raises(UserError, match="schema version 99.*use a newer one"):
        artifact.manifest()


def test_a_zip_that_names_files_outside_writes_none(tmp_path: Path) -> None:
    from rollbench.datasets.files.arrays import variables

    array = io.BytesIO()
    np.save(array, np.zeros((2, 3)))
    path = tmp_path / "in" / "a.npz"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("../escaped.npy", "/tmp/escaped.npy", "u.npy"):
            archive.writestr(name, array.getvalue())
    with variables(path) as found:
        assert found["u"].values.shape == (2, 3)
    assert not list(tmp_path.rglob("escaped*")) and not Path("/tmp/escaped.npy").exists()


# --- ports --------------------------------------------------------------------------------------------------------------------
def test_what_people_browse_listens_on_the_loopback_interface_alone() -> None:
    makefile, cluster = (ROOT / "Makefile").read_text(), (ROOT / "ray_cluster.yaml").read_text()
    (ui,) = re.findall(r"mlflow ui .*", makefile)
    assert "--host 127.0.0.1" in ui and "0.0.0.0" not in makefile + cluster
    assert "--dashboard-host=127.0.0.1" in cluster


@pytest.mark.slow
def test_a_ray_of_our_own_has_no_dashboard_and_asks_strangers_for_the_token(tmp_path: Path) -> None:
    ours = (
        "import ray, sys; from rollbench.engine.cluster import cluster\n"
        "with cluster():\n"
        "    context = ray.get_runtime_context()\n"
        "    print(context.gcs_address, repr(ray._private.worker.get_dashboard_url()), flush=True)\n"
        "    sys.stdin.read()"
    )
    theirs = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False); print(ray.cluster_resources())"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    with subprocess.Popen(
        [sys.executable, "-c", ours], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as running:
        assert running.stdout is not None
        address, dashboard = running.stdout.readline().split()
        stranger = {**environment, "HOME": str(tmp_path), "RAY_AUTH_MODE": "disabled"}
        asked = subprocess.run(
            [sys.executable, "-c", theirs, address], capture_output=True, text=True, env=stranger, timeout=120
        )
        running.communicate("")
    assert dashboard in ("''", "None")
    assert asked.returncode != 0 and "CPU" not in asked.stdout and re.search(r"(?i)token|auth", asked.stderr)


# --- secrets ------------------------------------------------------------------------------------------------------------------
KEY, SECRET, OTHER = "AKIAPLANTEDEXAMPLE", "planted-secret-of-the-uri", "planted-secret-of-the-environment"


@pytest.mark.slow
def test_no_secret_is_in_a_log_a_report_mlflow_or_a_manifest(tmp_path: Path) -> None:
    """Credentials in the storage's URI and in the environment, a whole run; everything it left is searched for them."""
    table = Small(rows=("MSE (2-1)",), changes=("training.steps=2", "train_clips=16", "sampling.group=8"))
    with bucket() as at:
        storage, out = uri(at, "bucket/store", credentials=f"{KEY}:{SECRET}"), tmp_path / "out"
        said = table.make(storage, out, AWS_SECRET_ACCESS_KEY=OTHER, AWS_SESSION_TOKEN=OTHER)
        assert "s3://" not in said or "***@" in said
        store = Store(storage)
        stored = store.filesystem.get_file_info(pa.fs.FileSelector(store.path, recursive=True))
        files = {info.path: store.filesystem.open_input_file(info.path).read() for info in stored if info.is_file}
    assert sum(path.endswith(MANIFEST) for path in files) == 7
    files |= {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert any(path.endswith("mlflow.db") for path in files) and any(path.endswith("table.html") for path in files)
    found = [path for path, data in files.items() for secret in (KEY, SECRET, OTHER) if secret.encode() in data]
    assert not found, found


def test_a_command_line_is_shown_without_its_secrets() -> None:
    command = f"python experiments/table8.py --storage 's3://{KEY}:{SECRET}@bucket/store?region=x' --set a=b@c"
    shown = redact(command)
    assert shown == "python experiments/table8.py --storage 's3://***@bucket/store?region=x' --set a=b@c"


def test_an_error_of_a_storage_shows_which_one_it_is() -> None:
    root = f"s3://{KEY}:{SECRET}@bucket/path?region=eu"
    assert short_message(OSError(f"cannot resolve {root}: no host"), root) == (
        "cannot resolve s3://***@bucket/path?region=eu: no host"
    )


def test_damage_is_told_without_the_secrets_of_the_uri(tmp_path: Path) -> None:
    with bucket() as at:
        artifact = Store(uri(at, "bucket/store", credentials=f"{KEY}:{SECRET}")).artifact("data", "k")
        with pytest.raises(Damaged) as error:
            artifact.read({"name": "a.bin", "bytes": 3, "sha256": ""})
        assert str(error.value) == "bucket/store/data/k/a.bin is missing"
