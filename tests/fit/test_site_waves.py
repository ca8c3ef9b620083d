"""Sums over a body-centred lattice's sites by mode, and back, against scipy on the whole fine lattice."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft as sf
import torch

from nmap.fit.bumps.lattice import NEIGHBOURS, Lattice
from nmap.fit.bumps.waves import Band, SiteWaves, site_index
from nmap.grid import Grid

GRIDS = [
    Grid((12, 16, 20), (1.5, 1.0, 1.0)),
    Grid((16, 16, 16), (1.0, 1.0, 1.0)),
    Grid((4, 12, 16), (1.0, 1.0, 1.0)),
]


def sites_of(shape: tuple[int, int, int]) -> np.ndarray:
    """All sites: indices all even or all odd."""
    return np.argwhere(np.indices(shape).sum(0) >= 0)[
        [len({int(i) & 1 for i in index}) == 1 for index in np.ndindex(*shape)]
    ]


def band_of(grid: Grid) -> Band:
    width = 1 / max(grid.edges)
    return Band.of(grid, width, int(0.35 * min(grid.shape[1:])))


@pytest.mark.parametrize("grid", GRIDS)
def test_modes_of_weighted_sites_are_those_of_the_fine_lattice(grid):
    sites, band = sites_of(grid.shape), band_of(grid)
    weights = np.random.default_rng(0).standard_normal(len(sites)).astype(np.float32)
    fine = np.zeros(grid.shape, np.float32)
    fine[tuple(sites.T)] = weights
    wanted = sf.rfftn(fine).reshape(-1)[band.flat(grid.shape)]
    waves = SiteWaves(grid.shape, band, torch.device("cpu"))
    found = waves.spectrum(torch.from_numpy(site_index(sites, grid.shape)), torch.from_numpy(weights))
    np.testing.assert_allclose(found.numpy(), wanted, atol=2e-5)


@pytest.mark.parametrize("grid", GRIDS)
def test_the_field_at_the_sites_is_that_of_the_fine_lattice(grid):
    sites, band = sites_of(grid.shape), band_of(grid)
    fine = np.random.default_rng(1).standard_normal(grid.shape).astype(np.float32)
    modes = sf.rfftn(fine).reshape(-1)[band.flat(grid.shape)]
    half = np.zeros((*grid.shape[:2], grid.shape[2] // 2 + 1), np.complex128)
    half.reshape(-1)[band.flat(grid.shape)] = modes
    wanted = sf.irfftn(half, s=grid.shape, norm="forward")[tuple(sites.T)]
    waves = SiteWaves(grid.shape, band, torch.device("cpu"))
    field = waves.field(torch.from_numpy(modes.astype(np.complex64))).numpy()
    np.testing.assert_allclose(field[site_index(sites, grid.shape)], wanted, atol=2e-3)


@pytest.mark.parametrize("grid", GRIDS)
def test_the_nearest_sites_are_those_26_steps_away_in_the_periodic_box(grid):
    sites, band = sites_of(grid.shape), band_of(grid)
    nothing = np.zeros(len(band.shell), np.complex64)
    ones = torch.ones(int(band.shell.max()) + 1)
    numbers, even = site_index(sites, grid.shape), np.ones(len(ones), np.float32)
    lattice = Lattice(grid, numbers, band, nothing, even, None, torch.device("cpu"), ones)
    found = lattice.near(torch.arange(len(sites))).numpy()
    wanted = (sites[:, None] + np.asarray(NEIGHBOURS)) % grid.shape
    place = {tuple(site): int(number) for site, number in zip(sites.tolist(), lattice.places, strict=True)}
    assert found.tolist() == [[place[tuple(near)] for near in row] for row in wanted.tolist()]


def test_the_band_is_every_mode_but_the_zero_one_up_to_its_last_shell():
    grid = GRIDS[1]
    band = Band.of(grid, 1 / 16, 5)
    every = np.stack(np.meshgrid(*(np.arange(-8, 8),) * 3, indexing="ij"), -1).reshape(-1, 3)
    length = np.linalg.norm(every, axis=1)
    assert band.modes.sum() == ((np.floor(length + 0.5) <= 5) & (length > 0)).sum()
    assert band.shell.min() == 1
    assert band.shell.max() == 5
