"""Q-scores: closed forms, and cctbx's on a real map."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nmap.compare.q_score import q_scores, spiral
from nmap.compare.structure import read_atoms
from nmap.grid import Grid
from nmap.maps import read_map

DATA = Path(__file__).parents[1] / "data"
EXAMPLE = Path(__file__).parents[2] / "examples" / "emd_3488.map.gz"
GRID = Grid((60, 64, 68), (0.25, 0.25, 0.25), (50.0, -20.0, 7.0))


def gaussians(grid, positions, sigma=0.6):
    points = grid.points()
    out = np.zeros(grid.shape)
    for place in positions:
        out += np.exp(-np.square(points - place).sum(-1) / (2 * sigma**2))
    return out.astype(np.float32)


def middle(grid):
    return grid.positions(np.array([[0.5, 0.5, 0.5]]))


def test_an_atom_that_is_the_gaussian_itself_scores_one():
    found = q_scores(3.0 * gaussians(GRID, middle(GRID)) - 7, GRID, middle(GRID))
    assert found == pytest.approx([1.0], abs=2e-3)


def test_a_hole_scores_minus_one():
    assert q_scores(-gaussians(GRID, middle(GRID)), GRID, middle(GRID)) == pytest.approx([-1.0], abs=2e-3)


def test_a_wider_atom_scores_as_the_correlation_of_two_gaussians():
    radii = np.linspace(0, 2, 21)
    wanted = np.corrcoef(np.exp(-((radii / 0.6) ** 2) / 2), np.exp(-((radii / 1.2) ** 2) / 2))[0, 1]
    found = q_scores(gaussians(GRID, middle(GRID), 1.2), GRID, middle(GRID))
    assert found == pytest.approx([wanted], abs=2e-3)


def test_a_neighbour_s_own_density_does_not_count():
    pair = middle(GRID) + np.array([[-0.75, 0.0, 0.0], [0.75, 0.0, 0.0]])
    values = np.maximum(*(gaussians(GRID, one[None]) for one in pair))
    alone = q_scores(values, GRID, pair[:1])[0]
    both = q_scores(values, GRID, pair)
    assert alone < 0.965 and both.min() > 0.995


def test_noise_scores_about_zero():
    grid = Grid((40, 40, 40), (1.0, 1.0, 1.0))
    rng = np.random.default_rng(0)
    places = rng.uniform(5, 35, (600, 3))
    found = q_scores(rng.standard_normal(grid.shape).astype(np.float32), grid, places)
    assert abs(found.mean()) < 0.05


def test_atoms_outside_the_box_and_constant_maps_have_no_score():
    places = np.concatenate([middle(GRID), [[0.0, 0.0, 0.0]]])
    found = q_scores(gaussians(GRID, middle(GRID)), GRID, places)
    assert np.isfinite(found[0]) and np.isnan(found[1])
    assert np.isnan(q_scores(np.full(GRID.shape, 0.1, np.float32), GRID, middle(GRID))).all()


def test_an_oblique_grid_is_read_in_angstrom():
    grid = Grid((60, 60, 60), (0.25, 0.25, 0.25), (1.0, 2.0, 3.0), (90.0, 111.0, 90.0))
    found = q_scores(gaussians(grid, middle(grid)), grid, middle(grid))
    assert found == pytest.approx([1.0], abs=2e-3)


def test_directions_are_even():
    directions = spiral(128)
    assert np.linalg.norm(directions, axis=1) == pytest.approx(np.ones(128))
    assert directions.mean(0) == pytest.approx(np.zeros(3), abs=0.01)


def test_residues_of_a_real_map_score_as_in_cctbx():
    density, atoms = read_map(EXAMPLE), read_atoms(DATA / "5me2_A1-30.pdb.gz")
    wanted = json.loads((DATA / "5me2_A1-30_cctbx.json").read_text())["q"]
    theirs = np.array([wanted[str(residue)] for residue in atoms.residues])
    free = atoms.by_residue(q_scores(density.values, density.grid, atoms.positions, "free"))
    assert np.abs(free - theirs).max() < 0.01
    # As published every shell weighs the same: crowded atoms score higher, and rank as they do.
    equal = atoms.by_residue(q_scores(density.values, density.grid, atoms.positions))
    assert 0.02 < (equal - theirs).mean() < 0.07
    assert np.corrcoef(equal, theirs)[0, 1] > 0.97
