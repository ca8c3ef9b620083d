"""Transforms made plane by plane are those of the whole volume, cut."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft as sf

import nmap.spectrum.planes as planes
from nmap.envelope.envelope import Envelope
from nmap.spectrum import (
    Planes,
    crop_spectrum,
    invert,
    invert_onto,
    resample,
    resample_planes,
    transform_cut,
    transform_planes,
    transform_values,
)

SHAPES = [(24, 20, 18), (20, 25, 16), (24, 21, 16), (12, 25, 18), (30, 16, 10), (12, 10, 8)]


def volume(shape: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, np.float32)


@pytest.fixture(autouse=True)
def small_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slabs of a few planes, as large maps have."""
    monkeypatch.setattr(planes, "_AT_ONCE", 1500)


@pytest.mark.parametrize("to", SHAPES)
def test_a_transform_by_planes_is_the_crop_of_scipys(to):
    values = volume((24, 25, 18))
    wanted = crop_spectrum(sf.rfftn(values), values.shape, to)
    np.testing.assert_allclose(transform_planes(Planes.of(values), to), wanted, rtol=0, atol=1e-4)


def test_a_transform_by_planes_is_that_of_the_product_less_a_constant():
    values, factor = volume((12, 10, 8)), volume((12, 10, 8))[::-1]
    made = transform_planes(Planes.of(values, 0.5).times(lambda part: factor[part]))
    np.testing.assert_allclose(made, sf.rfftn((values - np.float32(0.5)) * factor), rtol=0, atol=1e-4)


@pytest.mark.parametrize("to", [(20, 25, 16), (12, 11, 8), (24, 21, 18), (12, 10, 17), (9, 25, 18)])
def test_what_is_cut_off_is_the_power_that_is_not_kept(to):
    values = volume((24, 25, 18))
    full = np.abs(np.fft.fftn(values.astype(np.float64))) ** 2
    # Planes at the coarser Nyquist frequency are kept: both signs are added up before the next axis is cut.
    kept = full
    for axis, (n, m) in enumerate(zip(values.shape, to, strict=True)):
        inside = np.abs(np.fft.fftfreq(n, 1 / n)) <= m // 2
        kept = np.compress(inside, kept, axis)
    scale = (np.prod(to) / values.size) ** 2
    _, cut = transform_cut(Planes.of(values), to)
    assert cut == pytest.approx((full.sum() - kept.sum()) * scale, rel=2e-3)


@pytest.mark.parametrize("to", [(24, 25, 18), (32, 30, 24), (25, 27, 19), (24, 40, 18), (30, 30, 12)])
def test_a_finer_volume_of_a_transform_is_that_of_the_padded_one(to):
    values = volume((24, 25, 18))
    wanted = invert(crop_spectrum(sf.rfftn(values), values.shape, to), to)
    np.testing.assert_allclose(invert_onto(sf.rfftn(values), values.shape, to), wanted, atol=1e-5)


def test_a_mean_far_beyond_the_spread_drowns_nothing():
    values = volume((16, 16, 16)) + np.float32(1e4)
    wanted = sf.rfftn(values.astype(np.float64))
    found = transform_values(values)
    assert found[0, 0, 0] == pytest.approx(wanted[0, 0, 0], rel=1e-6)
    np.testing.assert_allclose(found.reshape(-1)[1:], wanted.reshape(-1)[1:], atol=2e-2)


@pytest.mark.parametrize("to", [(12, 10, 8), (30, 30, 24), (24, 25, 18)])
def test_resampling_by_planes_is_resampling(to):
    values = volume((24, 25, 18))
    np.testing.assert_allclose(resample_planes(Planes.of(values), to), resample(values, to), atol=1e-5)


@pytest.mark.parametrize("shape", [(17, 20, 24), (5, 40, 40), (40, 6, 7)])
def test_an_envelope_by_planes_is_the_whole_one_to_the_last_bit(shape):
    envelope = Envelope(np.random.default_rng(1).random((6, 8, 7)) < 0.4)
    whole = envelope.on_lattice(shape)
    for first in range(0, shape[0], 3):
        np.testing.assert_array_equal(
            envelope.planes(shape, slice(first, first + 3)), whole[first : first + 3]
        )
