"""LPIPS against the package of its authors, on the real heads and a backbone of random weights."""

import hashlib
import importlib.util

import numpy as np
import pytest
import torch

from evaluators import fid, lpips, pixel
from evaluators.base import UserError

RNG = np.random.default_rng(0)
SIZES = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}


@pytest.fixture
def backbone(tmp_path, monkeypatch):
    """A file of torchvision's AlexNet by names and shapes, its values drawn: the mathematics need no trained ones."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for i, (c_out, c_in, k) in SIZES.items():
        state[f"features.{i}.weight"] = torch.randn(c_out, c_in, k, k, generator=generator) / (c_in * k * k) ** 0.5
        state[f"features.{i}.bias"] = torch.randn(c_out, generator=generator) / 10
    path = tmp_path / "alexnet.pth"
    torch.save(state, path)
    monkeypatch.setattr(lpips, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setenv(lpips.VARIABLE, str(path))
    return state


@pytest.fixture
def metric(backbone):
    if importlib.util.find_spec("lpips") is None:
        pytest.skip("the package lpips is not installed, and with it the linear heads")
    return lpips.LPIPS(device="cpu")


@pytest.fixture
def theirs(backbone):
    fid.pytorch_fid("inception")  # torchvision, made to import
    package = importlib.import_module("lpips")
    network = package.LPIPS(net="alex", pnet_rand=True, verbose=False)
    own = network.state_dict()
    for name in own:
        if name.startswith("net."):
            own[name] = backbone["features." + name.split(".", 2)[2]]
    network.load_state_dict(own)
    return network


@pytest.mark.filterwarnings("ignore::UserWarning:torchvision")
@pytest.mark.parametrize("shape", [(31, 31), (64, 64), (48, 80)])
def test_it_is_the_authors(metric, theirs, shape):
    fake, real = RNG.integers(0, 256, (2, 3, *shape, 3), dtype=np.uint8)
    with torch.no_grad():
        truth = theirs(*(torch.from_numpy(v).permute(0, 3, 1, 2) / 127.5 - 1 for v in (fake, real)))[:, 0, 0, 0].numpy()
    assert truth.min() > 0.01
    np.testing.assert_allclose(metric(fake, real), truth, rtol=2e-5)
    np.testing.assert_allclose(metric(fake / 255.0, real / 255.0), truth, rtol=2e-5)


def test_films_are_means_of_frames_and_leads_stand_apart(metric):
    fake, real = RNG.integers(0, 256, (2, 3, 7, 32, 32, 3), dtype=np.uint8)
    by_lead = pixel.by_lead(metric, fake, real)
    assert by_lead.shape == (3, 7)
    np.testing.assert_allclose(metric(fake, real), by_lead.mean(axis=1), rtol=1e-6)
    np.testing.assert_array_equal(metric(fake[1:], real[1:]), metric(fake, real)[1:])  # whatever frames are beside
    np.testing.assert_array_equal(metric(real, real), 0)


def test_frames_that_are_none_are_refused(metric):
    frames = np.zeros((2, 32, 32, 3), np.uint8)
    for fake, real in ((frames, frames[:1]), (frames[:, :30], frames[:, :30]), (frames[0], frames[0])):
        with pytest.raises(UserError, match="at least 31 x 31"):
            metric(fake, real)
    with pytest.raises(UserError, match="0..255"):
        metric(frames + 2.0, frames + 2.0)


def test_without_its_files_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("ROLLBENCH_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr(lpips, "URL", "http://127.0.0.1:9/nowhere.pth")
    with pytest.raises(UserError, match=f"set {lpips.VARIABLE} to the file, or leave LPIPS out"):
        lpips.LPIPS()
    (tmp_path / "other.pth").write_bytes(b"no weights")
    with pytest.raises(UserError, match="fetch them again"):
        lpips.LPIPS(str(tmp_path / "other.pth"))


def test_without_its_heads_it_says_what_to_do(backbone, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install --no-deps lpips"):
        lpips.LPIPS()
    monkeypatch.setenv(lpips.HEADS_VARIABLE, "nowhere.pth")
    with pytest.raises(UserError, match="nowhere.pth cannot be read"):
        lpips.LPIPS()
