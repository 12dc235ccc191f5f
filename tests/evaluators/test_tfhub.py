"""The two back ends agree: our I3D and the published TensorFlow-Hub module."""

import importlib.util

import numpy as np
import pytest

from evaluators import weights
from evaluators.base import UserError
from evaluators.fvd import FVD
from evaluators.i3d import I3DFeatures
from evaluators.tfhub import TFHubFeatures, _name

if importlib.util.find_spec("tensorflow_hub") is None:
    pytest.skip("the extra [tfhub] is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def module(shared):
    return str(shared / "i3d" / "tfhub_i3d_kinetics_400_1")


@pytest.fixture(scope="module")
def extractor(module):
    return TFHubFeatures("original", module)


@pytest.fixture(scope="module")
def reference(shared):
    return np.load(shared / "i3d" / "fvd_reference.npz")


def test_its_variables_are_our_weights(extractor):
    """Every tensor, by its checksum: `TFHubFeatures` has refused the module otherwise."""
    ours = weights.load()
    for variable in extractor._module.variables:
        name = _name(variable.name)
        theirs = variable.numpy()
        theirs = theirs.transpose(4, 3, 0, 1, 2) if ours[name].ndim == 5 else theirs.reshape(-1)
        np.testing.assert_array_equal(theirs, ours[name])
    assert len(extractor._module.variables) == len(ours)


def test_logits_agree(extractor, reference):
    clips = reference["two_clips_uint8"]
    theirs = extractor.features(clips)
    np.testing.assert_allclose(theirs, reference["two_logits_tf_legacy"], atol=5e-5)
    np.testing.assert_allclose(I3DFeatures("original", device="cpu").features(clips), theirs, atol=1e-4)


def test_halfpixel_and_other_shapes_agree(extractor, monkeypatch):
    monkeypatch.setattr(extractor, "how", "halfpixel")
    clips = np.random.default_rng(0).integers(0, 256, (1, 9, 48, 80, 3), dtype=np.uint8)
    ours = I3DFeatures("halfpixel", device="cpu").features(clips)
    np.testing.assert_allclose(ours, extractor.features(clips), atol=1e-4)
    np.testing.assert_allclose(extractor.features(clips / 255.0), extractor.features(clips), atol=1e-4)


def test_fvd_agrees(extractor, module, reference):
    sides = reference["A_uint8"][:4], reference["B_uint8"][:4]
    theirs = FVD(backend="tfhub", weights=module)
    theirs._extractor = extractor
    ours = FVD(device="cpu")
    first, second = theirs.between(*sides), ours.between(*sides)
    assert first.value == pytest.approx(second.value, rel=1e-5)
    assert first.name == second.name


def test_eight_frames_and_a_wrong_folder_are_refused(extractor, tmp_path):
    with pytest.raises(UserError, match="at least 9"):
        extractor.features(np.zeros((1, 8, 64, 64, 3), np.uint8))
    with pytest.raises(UserError, match="cannot be loaded"):
        TFHubFeatures("original", str(tmp_path / "nowhere"))
