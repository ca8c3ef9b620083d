"""Where a decode differs from its source, without a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nmap.compare.local_loss
from nmap.compare.local_loss import local_correlation, local_loss
from nmap.grid import Grid
from nmap.maps import read_map

EXAMPLE = Path(__file__).parents[2] / "examples" / "emd_3488.map.gz"


@pytest.fixture(scope="module", name="example")
def make_example():
    return read_map(EXAMPLE)


def test_a_map_loses_nothing_against_itself_scaled(example):
    found = local_loss(2 * example.values + 1, example.values, example.grid)
    assert found.lowest == pytest.approx(1, abs=1e-3)
    assert 0.05 < found.counted < 0.3


def test_the_worst_place_is_where_density_was_taken_away(example):
    level = np.abs(example.values)
    z, y, x = np.unravel_index(level.argmax(), level.shape)
    spoiled = example.values.copy()
    spoiled[z - 3 : z + 4, y - 3 : y + 4, x - 3 : x + 4] *= -1
    loss = local_loss(spoiled, example.values, example.grid)
    place = example.grid.positions(np.array([z, y, x]) / np.asarray(example.grid.shape))
    assert loss.lowest < 0 and np.linalg.norm(np.subtract(loss.place, place)) < 4
    assert loss.first_percentile > loss.lowest and loss.mean > 0.98


def test_independent_noise_lowers_it_everywhere_alike():
    grid = Grid((48, 48, 48), (1.0, 1.0, 1.0))
    rng = np.random.default_rng(0)
    source = rng.standard_normal(grid.shape).astype(np.float32)
    noise = rng.standard_normal(grid.shape).astype(np.float32)
    source[:24] = noise[:24] = 0  # solvent, so that the rest stands out of it
    noisy = source + noise
    found = local_loss(noisy, source, grid)
    # Equal signal and noise correlate by 1/sqrt(2).
    assert found.mean == pytest.approx(2**-0.5, abs=0.02)


def test_where_nothing_stands_out_there_is_no_figure():
    grid = Grid((16, 16, 16), (1.0, 1.0, 1.0))
    flat = np.full(grid.shape, 0.5, np.float32)
    assert local_loss(flat, flat, grid) is None


def test_in_slabs_it_is_the_weighted_correlation_about_each_voxel(monkeypatch):
    monkeypatch.setattr(nmap.compare.local_loss, "_AT_ONCE", 1)
    grid = Grid((30, 24, 20), (1.0, 1.2, 1.5))
    rng = np.random.default_rng(2)
    source, other = (rng.standard_normal(grid.shape).astype(np.float32) for _ in range(2))
    found, _ = local_correlation(source + other, source, grid)
    widths = [5.0 / 2.3548 / v for v in grid.voxel_size[::-1]]
    reach = [int(3 * w + 0.5) for w in widths]
    weight = np.ones(())
    for w, n in zip(widths, reach, strict=True):
        weight = np.multiply.outer(weight, np.exp(-0.5 * (np.arange(-n, n + 1) / w) ** 2))
    padded = [np.pad(v.astype(np.float64), [(n, n) for n in reach], "edge") for v in (source + other, source)]
    for place in [(0, 0, 0), (11, 5, 7), (12, 12, 12), (17, 3, 9), (29, 23, 19)]:
        near = tuple(slice(i, i + 2 * n + 1) for i, n in zip(place, reach, strict=True))
        both = np.cov(*(v[near].ravel() for v in padded), aweights=weight.ravel())
        wanted = both[0, 1] / np.sqrt(both[0, 0] * both[1, 1])
        assert found[place] == pytest.approx(wanted, abs=1e-4)
