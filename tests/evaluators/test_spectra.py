"""Energy spectra: Parseval, single waves, and what independent noise has per mode."""

import numpy as np
import pytest

from evaluators import spectra


@pytest.mark.parametrize(("y", "x"), [(32, 32), (16, 24), (9, 7)])
def test_all_shells_hold_the_kinetic_energy(y, x):
    frames = np.random.default_rng(0).standard_normal((3, 5, 2, y, x))
    found = spectra.energy(frames)
    np.testing.assert_allclose(found.sum(-1), (frames**2).sum(2).mean((-2, -1)) / 2, rtol=1e-12)


@pytest.mark.parametrize(("kx", "ky", "shell"), [(0, 4, 4), (3, 4, 5), (1, 1, 1), (2, 2, 3), (0, 0, 0)])
def test_a_wave_lies_in_its_shell(kx, ky, shell):
    y, x = np.mgrid[:32, :32] * (2 * np.pi / 32)
    wave = np.cos(kx * x + ky * y)
    found = spectra.energy(np.stack([3 * wave, np.zeros_like(wave)]))
    assert found[shell] == pytest.approx(4.5 * np.mean(wave**2))
    assert np.delete(found, shell).max() < 1e-25


def test_white_noise_has_equal_energy_in_every_mode():
    found = spectra.energy(np.random.default_rng(1).standard_normal((400, 2, 32, 32))).mean(0)
    modes = np.bincount(spectra.shells(32, 32).ravel())
    np.testing.assert_allclose(found[1:] / modes[1:], 1 / 32**2, rtol=0.12)


def test_other_channels_are_refused():
    with pytest.raises(ValueError, match=r"\[..., 2, y, x\]"):
        spectra.energy(np.zeros((4, 3, 8, 8)))
