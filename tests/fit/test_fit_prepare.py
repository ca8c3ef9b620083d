"""What a network is fitted to: band limit, envelope, whitening, coordinates, crop and downsampling."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phantoms import ball_of_atoms

from nmap.errors import GridError, MapError, OptionError
from nmap.fit.options import EncodeOptions
from nmap.fit.target.band_limit import estimate_band_limit
from nmap.fit.target.prepare import prepare
from nmap.grid import Grid
from nmap.maps import DensityMap, read_map
from nmap.maps.checked import mask_by_position
from nmap.outcomes import BandLimitOutcome
from nmap.spectrum import Shells, band_limited, crop_spectrum, invert, power, squared, transform

EXAMPLE = Path(__file__).parents[2] / "examples" / "emd_3488.map.gz"
GRID = Grid((40, 44, 48), (1.5, 1.5, 1.5), (5.0, -3.0, 2.0))


def molecule(grid: Grid = GRID, noise: float = 0.0, seed: int = 0) -> DensityMap:
    """Random atoms in a ball around the box's middle, sharp to Nyquist."""
    rng = np.random.default_rng(seed)
    values = ball_of_atoms(grid.shape, np.asarray(grid.shape) / 2, 6.0, count=150, blur=0.7, seed=seed)
    return DensityMap((values + rng.normal(0, 1, grid.shape) * noise).astype(np.float32), grid)


def test_the_band_limit_of_a_low_passed_map_is_found():
    density = molecule()
    cut = band_limited(density.values, GRID, 5.0)
    found, how = estimate_band_limit(cut, GRID)
    assert found == pytest.approx(5.0, rel=0.06)
    assert how.rule == "spectrum-end"


def test_the_band_limit_is_where_the_signal_meets_the_solvents_noise():
    density = molecule()
    shells = Shells(GRID)
    fading = np.exp(-0.5 * (shells.frequency / 0.1) ** 2).astype(np.float32)
    signal = invert(transform(density.values) * shells.spread(fading), GRID.shape)
    noise = 0.3 * signal.std() * np.random.default_rng(1).standard_normal(GRID.shape)
    found, how = estimate_band_limit((signal + noise).astype(np.float32), GRID)
    # Where the power of the molecule is a third of the noise's in the molecule's own region.
    inside = signal**2 > 1e-3 * (signal**2).max()
    ratio = power(signal, GRID) / (power(noise, GRID) * inside.mean())
    meets = 1 / shells.frequency[np.flatnonzero(ratio > 1 / 3)[-1]]
    assert how.rule == "solvent-noise"
    assert found == pytest.approx(meets, rel=0.2)


def test_a_map_that_is_sharp_to_nyquist_keeps_all():
    assert estimate_band_limit(molecule().values, GRID)[0] == pytest.approx(3.0)


def test_a_resolution_finer_than_nyquist_becomes_nyquists_and_says_so():
    target = prepare(molecule(), EncodeOptions(resolution=2.0))
    assert target.band_limit == pytest.approx(3.0)
    assert target.outcomes.band_limit == BandLimitOutcome("sampling", asked=2.0)


def test_a_resolution_coarser_than_the_box_is_refused():
    with pytest.raises(OptionError, match="finer than the box"):
        prepare(molecule(), EncodeOptions(resolution=100.0))


def test_a_map_without_density_is_refused():
    with pytest.raises(MapError, match="no density"):
        prepare(DensityMap(np.full(GRID.shape, 2.0, np.float32), GRID), EncodeOptions())


def test_crop_keeps_every_voxel_in_its_place():
    density = molecule()
    target = prepare(density, EncodeOptions(resolution=4.0, crop=24))
    assert target.density.grid.shape == (24, 24, 24)
    np.testing.assert_array_equal(target.density.values, density.values[8:32, 10:34, 12:36])
    # Voxel (8, 10, 12) of 1.5 A, from the origin (x, y, z).
    assert target.density.grid.origin == pytest.approx((5 + 12 * 1.5, -3 + 10 * 1.5, 2 + 8 * 1.5))


def test_a_crop_larger_than_the_map_is_refused():
    with pytest.raises(OptionError, match=r"\(40, 44, 48\) voxels"):
        prepare(molecule(), EncodeOptions(crop=41))


def test_downsampling_keeps_waves_that_fit_and_drops_those_that_would_alias():
    z, _, x = np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij")
    values = np.cos(2 * np.pi * 3 * x / 48) + np.cos(2 * np.pi * 19 * z / 40)
    target = prepare(DensityMap(values.astype(np.float32), GRID), EncodeOptions(downsample=2, mask="none"))
    grid = target.density.grid
    assert (grid.shape, grid.origin) == ((20, 22, 24), GRID.origin)
    assert grid.edges == pytest.approx(GRID.edges)
    expected = np.cos(2 * np.pi * 3 * np.arange(24) / 24)
    np.testing.assert_allclose(target.density.values, np.broadcast_to(expected, grid.shape), atol=1e-5)


def test_the_truth_is_the_source_times_the_envelope_within_the_band_limit():
    density = molecule(noise=0.02)
    target = prepare(density, EncodeOptions(resolution=4.0))
    assert target.envelope is not None
    mask = target.envelope.on_lattice(GRID.shape)
    expected = band_limited((density.values - target.solvent) * mask, GRID, 4.0)
    on_grid = invert(crop_spectrum(target.truth, target.lattice.shape, GRID.shape), GRID.shape)
    np.testing.assert_allclose(on_grid, expected, atol=2e-5 * np.abs(expected).max())


def test_a_molecule_in_noise_leaves_only_noise_outside():
    clean, noisy = molecule(), molecule(noise=0.02)
    target = prepare(noisy, EncodeOptions(resolution=4.0))
    assert target.envelope is not None
    outside = 1 - target.envelope.on_lattice(GRID.shape)
    assert ((clean.values * outside) ** 2).sum() < 1e-3 * (clean.values**2).sum()
    assert outside.mean() > 0.6
    assert 0 < target.left_out < 0.5


def test_the_whitened_map_has_unit_variance_inside_and_even_shells():
    target = prepare(molecule(), EncodeOptions(resolution=4.0))
    white = invert(target.whitened, target.lattice.shape).reshape(-1)[target.inside]
    assert white.std() == pytest.approx(1, rel=0.05)
    by_shell = (target.shells.sum(np.abs(target.whitened) ** 2) / target.shells.modes)[7 : target.last]
    assert by_shell.max() < 3 * by_shell.min()


def test_network_coordinates_are_isotropic_and_reach_1():
    grid = replace(GRID, voxel_size=(1.5, 2.0, 1.0))
    target = prepare(molecule(grid), EncodeOptions(resolution=5.0, mask="none"))
    assert np.abs(target.coordinates).max() == pytest.approx(1, abs=0.05)
    steps = [h * edge for h, edge in zip(target.half_width, grid.edges[::-1], strict=True)]
    assert steps == pytest.approx([target.reach] * 3)


def test_a_mask_is_taken_by_position_whatever_its_own_grid():
    density = molecule()
    mask = np.zeros(GRID.shape, np.float32)
    mask[10:30, 12:32, 14:34] = 1
    whole = DensityMap(mask, GRID)
    part = DensityMap(mask[8:34, 10:36, 12:40], GRID.region((8, 10, 12), (26, 26, 28)))
    made = [prepare(density, EncodeOptions(resolution=4.0, mask=m)) for m in (whole, part)]
    np.testing.assert_array_equal(made[0].mask, made[1].mask)
    inside = made[0].envelope.on_lattice(GRID.shape)
    assert inside[10:30, 12:32, 14:34].min() == pytest.approx(1)


def test_a_real_cropped_mask_is_zero_beyond_its_own_box(data_dir):
    mask = read_map(data_dir / "emd_3488_contour_mask_cropped.mrc.gz")
    grid = Grid((100, 100, 100), (1.05, 1.05, 1.05))
    sampled = mask_by_position(mask, grid, grid)
    np.testing.assert_allclose(sampled[:, :91, :91], mask.values, atol=1e-4)
    assert not sampled[:, 91:].any()
    assert not sampled[:, :, 91:].any()


def test_a_mask_that_lies_elsewhere_is_refused_with_both_grids():
    away = replace(GRID, origin=(500.0, 0.0, 0.0))
    with pytest.raises(GridError) as caught:
        prepare(molecule(), EncodeOptions(mask=DensityMap(np.ones(GRID.shape, np.float32), away)))
    assert str(away) in str(caught.value)
    assert str(GRID) in str(caught.value)


def test_an_empty_mask_is_refused():
    with pytest.raises(OptionError, match=r"nowhere above 0\.5"):
        prepare(molecule(), EncodeOptions(mask=DensityMap(np.zeros(GRID.shape, np.float32), GRID)))


def test_the_stored_envelope_is_a_small_part_of_the_file():
    # Radial-basis networks store none: their sites say where the molecule is.
    target = prepare(molecule(noise=0.02), EncodeOptions(resolution=4.0, arch="siren"))
    assert target.coded_envelope["envelope"].nbytes <= max(64, 0.02 * 0.4 * target.freedom)


def test_what_a_network_is_to_hold_lies_inside_the_envelope_in_coarse_shells_too():
    target = prepare(read_map(EXAMPLE), EncodeOptions(resolution=3.2))
    everywhere = invert(target.whitened, target.lattice.shape)
    outside = transform(np.where(target.mask > 0, 0, everywhere))
    coarse = slice(1, target.white_from + 1)
    share = target.shells.sum(squared(outside))[coarse] / target.shells.sum(squared(target.whitened))[coarse]
    # Whitened from the first shell on it is 0.009 at most.
    assert target.white_from == round(target.last / 4)
    assert share.max() < 0.0015
