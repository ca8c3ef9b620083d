"""Contour levels and the volumes that they enclose."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nmap.compare.contour import compare_contour, enclosed_volume, level_enclosing
from nmap.grid import Grid

GRID = Grid((40, 40, 40), (0.5, 0.5, 0.5))


def ball(sigma: float) -> np.ndarray:
    # Off the lattice, so that no two voxels hold the same.
    apart = np.square(GRID.points() - np.array([10.11, 9.93, 10.04])).sum(-1)
    return np.exp(-apart / (2 * sigma**2)).astype(np.float32)


def test_a_level_encloses_the_ball_that_it_should():
    # exp(-r^2 / 8) is above exp(-2) within 4 A.
    found = enclosed_volume(ball(2.0), GRID, math.exp(-2))
    assert found == pytest.approx(4 / 3 * math.pi * 4**3, rel=0.02)


def test_the_level_of_a_volume_is_the_one_that_encloses_it():
    found = level_enclosing(ball(2.0), GRID, 4 / 3 * math.pi * 4**3)
    assert found == pytest.approx(math.exp(-2), rel=0.03)
    assert enclosed_volume(ball(2.0), GRID, found) == pytest.approx(4 / 3 * math.pi * 4**3, rel=0.02)


def test_a_decode_of_less_contrast_has_a_lower_level_and_the_same_surface():
    source = ball(2.0)
    found = compare_contour(0.8 * source, source, GRID, 0.3)
    assert found.decoded_level == pytest.approx(0.24, rel=0.03)
    assert found.overlap == 1
    assert found.at_same_level < 0.9 * found.volume


def test_a_level_above_all_density_has_no_counterpart():
    found = compare_contour(ball(2.0), ball(2.0), GRID, 2.0)
    assert found.volume == 0 and math.isnan(found.decoded_level) and math.isnan(found.overlap)
