"""`rollbench fvd REAL FAKE`: one command, one line for every error, no network the second time."""

import argparse
import json
from typing import Any

import numpy as np
import pytest

from evaluators import command, fid, fvd, weights
from evaluators.base import UserError
from evaluators.i3d import I3DFeatures

RNG = np.random.default_rng(0)
REAL = RNG.integers(0, 256, (4, 9, 8, 8, 3), dtype=np.uint8).repeat(4, axis=2).repeat(4, axis=3)
FAKE = RNG.integers(0, 256, (4, 9, 8, 8, 3), dtype=np.uint8).repeat(4, axis=2).repeat(4, axis=3)


@pytest.fixture(scope="module")
def _weights():
    try:
        return weights.load()
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture
def sides(tmp_path, _weights, monkeypatch):
    monkeypatch.setattr(weights, "load", lambda path=None: _weights)
    for name, clips in (("REAL", REAL), ("FAKE", FAKE)):
        (tmp_path / name).mkdir()
        for i, clip in enumerate(clips):
            np.save(tmp_path / name / f"c{i}.npy", clip)
    return [str(tmp_path / name) for name in ("REAL", "FAKE")]


def test_text_names_value_interval_floor_and_curve(sides, capsys):
    assert command.main([*sides, "--clip", "9", "--plot", "curve.png"]) == 0
    printed = capsys.readouterr()
    truth = fvd.FVD(device="cpu").between(REAL, FAKE)
    assert f"FVD {truth.value:.6g}" in printed.out
    for words in ("95 %", "original@1", "floor", "N -> infinity", "N-curve", "warning"):
        assert words in printed.out
    assert "real: 4 vectors" in printed.err and "generated: 4 vectors" in printed.err
    assert open("curve.png", "rb").read(4) == b"\x89PNG"


def test_json_is_all_that_is_printed_and_kept_features_save_the_network(sides, capsys, monkeypatch):
    assert command.main([*sides, "--json", "--keep", "kept"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["fvd"]["sources"] == 4  # c0 of FAKE continues c0 of REAL
    monkeypatch.setattr(I3DFeatures, "features", lambda *_: pytest.fail("the network ran again"))
    assert command.main([*sides, "--json", "--keep", "kept", "--level", "0.5"]) == 0
    printed = capsys.readouterr()
    second = json.loads(printed.out)
    assert second["fvd"]["value"] == first["fvd"]["value"]
    assert second["fvd"]["high"] - second["fvd"]["low"] < first["fvd"]["high"] - first["fvd"]["low"]
    assert "kept in" in printed.err


def test_a_change_of_clips_is_not_answered_from_kept_features(sides, capsys):
    assert command.main([*sides, "--json", "--keep", "kept"]) == 0
    first = json.loads(capsys.readouterr().out)["fvd"]["value"]
    np.save(f"{sides[1]}/c0.npy", FAKE[0][::-1])
    assert command.main([*sides, "--json", "--keep", "kept"]) == 0
    assert json.loads(capsys.readouterr().out)["fvd"]["value"] != first


def test_bad_files_are_named_and_left_out_only_when_told(sides, capsys):
    (open(f"{sides[1]}/torn.mp4", "wb")).write(b"no film")
    assert command.main([*sides]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 2 and "torn.mp4 cannot be read" in error and "--skip-bad" in error
    assert command.main([*sides, "--skip-bad", "--keep", "kept"]) == 0
    printed = capsys.readouterr()
    assert "left out, generated: 1" in printed.out and "1 left out" in printed.err
    assert command.main([*sides, "--keep", "kept"]) == 2  # what was left out is not forgotten


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--protocol", "orginal"], "perhaps 'original'"),
        (["--protocol", "bair-1to15"], "16 are needed"),
        (["--clip", "8"], "at least 9"),
        (["--clip", "10"], "9 frames: 10 are needed"),
        (["--weights", "nowhere.ckpt"], "cannot be read"),
        (["--level", "95"], "between 0 and 1"),
        (["--device", "cuda:77"], "cpu always can"),
        (["--device", "teapot"], "cpu always can"),
        (["--resamples", "3"], "at least 20"),
        (["--plot", "curve.doc"], "cannot be written"),
        (["--plot", "nowhere/curve.png"], "a folder that exists"),
        (["--seed", "-1"], "a whole number from 0"),
    ],
)
def test_every_error_is_one_line_and_exit_code_2(sides, capsys, monkeypatch, words, error):
    if "--weights" in words:
        monkeypatch.undo()
    assert command.main([*sides, *words]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("rollbench: ")]
    assert len(lines) == 1 and error in lines[0]


@pytest.mark.parametrize(
    "words",
    [
        ["--seed", "-1"],
        ["--plot", "curve.txt"],
        ["--plot", "nowhere/curve.png"],
        ["--protocol", "teco-20to80"],
        ["--protocol", "teco-20to80", "--any-count"],  # whose clips continue each other
    ],
)
def test_what_cannot_be_is_refused_before_the_network_runs(sides, tmp_path, capsys, monkeypatch, words):
    monkeypatch.setattr(I3DFeatures, "features", lambda *_: pytest.fail("the network ran"))
    for side, count in zip(sides, (3, 4), strict=True):
        np.save(f"{side}/c0.npy", np.zeros((count, 100, 16, 16, 3), np.uint8))
        for i in (1, 2, 3):
            np.save(f"{side}/c{i}.npy", np.zeros((100, 16, 16, 3), np.uint8))
    assert command.main([*sides, *words]) == 2
    assert capsys.readouterr().err.count("rollbench: ") == 1


def test_a_plot_that_fails_costs_no_result(sides, capsys, monkeypatch):
    def full(*_):
        raise UserError("plot curve.png cannot be written (disk full)")

    monkeypatch.setattr(command.show, "plot", full)
    assert command.main([*sides, "--plot", "curve.png"]) == 2
    printed = capsys.readouterr()
    assert "FVD " in printed.out and "disk full" in printed.err


@pytest.mark.parametrize(
    ("name", "clips", "error"),
    [
        ("other.npy", REAL[:1, :, :16], "must be alike"),
        ("range.npy", REAL[:1].astype(np.float32), "scale them"),
        ("layout.npy", REAL[:1].transpose(0, 4, 1, 2, 3), "[clips, frames, y, x, 3]"),
    ],
)
def test_clips_that_are_no_clips(sides, capsys, name, clips, error):
    np.save(f"{sides[1]}/{name}", clips)
    assert command.main(sides) == 2
    assert name in (printed := capsys.readouterr().err) and error in printed


def test_sides_of_two_sizes_are_not_compared(sides, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(I3DFeatures, "features", lambda *_: pytest.fail("the network ran before the sizes were seen"))
    (tmp_path / "LARGE").mkdir()
    np.save(tmp_path / "LARGE" / "c0.npy", FAKE.repeat(2, axis=2).repeat(2, axis=3))
    assert command.main([sides[0], str(tmp_path / "LARGE")]) == 2
    printed = capsys.readouterr().err
    assert "REAL holds 9 frames of 32x32" in printed and "LARGE 9 frames of 64x64: make the two sides alike" in printed


def test_one_clip_is_too_few(sides, capsys):
    assert command.main([f"{sides[0]}/c0.npy", sides[1]]) == 2
    assert "at least 2" in capsys.readouterr().err


def test_unknown_options_exit_with_2(capsys):
    with pytest.raises(SystemExit) as left:
        command.main(["only-one-folder"])
    assert left.value.code == 2 and capsys.readouterr().err.count("\n") == 1


def test_it_hangs_into_another_command_line():
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert command.run(parser.parse_args(["nowhere", "nowhere"])) == 2


# --- FID of frames -----------------------------------------------------------------------------------------------------
@pytest.fixture
def inception(tmp_path, monkeypatch):
    """A network of the right shape with random weights: FID's way through, not its values."""
    import torch

    module: Any = fid.pytorch_fid("inception")
    torch.manual_seed(0)
    network = module._inception_v3(num_classes=1008, aux_logits=False, weights=None)
    for name, block in (
        ("Mixed_5b", module.FIDInceptionA(192, pool_features=32)), ("Mixed_5c", module.FIDInceptionA(256, pool_features=64)),
        ("Mixed_5d", module.FIDInceptionA(288, pool_features=64)), ("Mixed_6b", module.FIDInceptionC(768, channels_7x7=128)),
        ("Mixed_6c", module.FIDInceptionC(768, channels_7x7=160)), ("Mixed_6d", module.FIDInceptionC(768, channels_7x7=160)),
        ("Mixed_6e", module.FIDInceptionC(768, channels_7x7=192)), ("Mixed_7b", module.FIDInceptionE_1(1280)),
        ("Mixed_7c", module.FIDInceptionE_2(2048)),
    ):  # fmt: skip
        setattr(network, name, block)
    path = tmp_path / "inception.pth"
    torch.save(network.state_dict(), path)
    import hashlib

    monkeypatch.setattr(fid, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setenv(fid.VARIABLE, str(path))
    return path


@pytest.mark.slow
def test_fid_is_a_second_column(sides, inception, capsys):
    assert command.main([*sides, "--fid", "--json"]) == 0
    both = json.loads(capsys.readouterr().out)
    assert set(both) == {"fvd", "fid"}
    assert both["fid"]["n"] == 36 and both["fid"]["sources"] == 4 and both["fid"]["value"] > 0
    network = fid.InceptionFeatures(device="cpu")
    together = network.features(REAL[0])
    np.testing.assert_array_equal(np.concatenate([network.features(frame[None]) for frame in REAL[0]]), together)
    np.testing.assert_allclose(network.features(REAL[0] / 255.0), together, atol=1e-3)


def test_fid_without_its_weights_says_what_to_do(sides, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("ROLLBENCH_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr(fid, "URL", "http://127.0.0.1:9/pt_inception.pth")
    assert command.main([*sides, "--fid"]) == 2
    assert f"set {fid.VARIABLE}" in capsys.readouterr().err
    (tmp_path / "wrong.pth").write_bytes(b"wrong")
    monkeypatch.setenv(fid.VARIABLE, str(tmp_path / "wrong.pth"))
    assert command.main([*sides, "--fid"]) == 2
    assert "fetch them again" in capsys.readouterr().err
