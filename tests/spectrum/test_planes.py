"""Transforms made plane by plane are those of the whole volume, cut."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft as sf

import nmap.spectrum.planes as planes
from nmap.envelope.envelope import Envelope
from nmap.grid import Grid
from nmap.spectrum import (
    Planes,
    Shells,
    crop_spectrum,
    invert,
    invert_onto,
    over_columns,
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


@pytest.mark.parametrize("held", [1, 8 * 12 * 10 * 4, 1 << 30])
@pytest.mark.parametrize("nx", [8, 9])
def test_columns_of_transforms_are_those_of_scipys(held, nx, monkeypatch):
    monkeypatch.setattr(planes, "_HELD", held)
    pair = [volume((12, 10, nx)) + np.float32(mean) for mean in (0, 1000)]
    found = over_columns([Planes.centred(v) for v in pair], lambda columns, a, b: (columns, a, b))
    assert len(found) == {1: nx // 2 + 1, 1 << 30: 1}.get(held, 3)
    for at, values in enumerate(pair, 1):
        whole = np.concatenate([part[at] for part in found], 2)
        np.testing.assert_allclose(whole, sf.rfftn(values.astype(np.float64)), rtol=1e-6, atol=5e-3)


@pytest.mark.parametrize("nx", [8, 9])
def test_sums_over_columns_count_every_mode_of_the_full_transform_once(nx):
    shape = (12, 10, nx)
    grid = Grid(shape, (1.0, 1.0, 1.0))
    power = np.abs(np.fft.fftn(volume(shape).astype(np.float64))) ** 2
    radius = np.sqrt(sum(f**2 for f in np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij"))) * 12
    shell = np.floor(radius + 0.5 + 1e-6).astype(int)
    half = sf.rfftn(volume(shape))
    shells = [Shells(grid).part(columns) for columns in (slice(0, 2), slice(2, 4), slice(4, nx // 2 + 1))]
    squares = [np.abs(half[..., part.columns]) ** 2 for part in shells]
    for last in range(Shells(grid).count):
        modes = sum(part.modes[last] for part in shells)
        assert modes == np.count_nonzero(shell == last)
        held = sum(part.sum(square)[last] for part, square in zip(shells, squares, strict=True))
        assert held == pytest.approx(power[shell == last].sum(), rel=1e-5)


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
