"""Correlation with a model's density, against Phenix's on a real map."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nmap.compare.model_correlation import (
    atom_radius,
    correlation_by_residue,
    correlation_in_mask,
    model_map,
)
from nmap.compare.structure import read_atoms
from nmap.maps import read_map

DATA = Path(__file__).parents[1] / "data"
EXAMPLE = Path(__file__).parents[2] / "examples" / "emd_3488.map.gz"


@pytest.fixture(scope="module", name="pair")
def make_pair():
    density, atoms = read_map(EXAMPLE), read_atoms(DATA / "5me2_A1-30.pdb.gz")
    return density, atoms, model_map(atoms, density.grid, 3.2)


def test_correlations_of_a_real_map_are_those_of_cctbx(pair):
    density, atoms, model = pair
    wanted = json.loads((DATA / "5me2_A1-30_cctbx.json").read_text())
    theirs = np.array([wanted["cc"][str(residue)] for residue in atoms.residues])
    found = correlation_by_residue(density.values, density.grid, atoms, model)
    assert np.abs(found - theirs).max() < 0.01
    assert correlation_in_mask(density.values, model) == pytest.approx(wanted["cc_mask"], abs=0.01)


def test_a_model_s_own_density_correlates_fully(pair):
    density, atoms, model = pair
    found = correlation_by_residue(5 * model.density + 2, density.grid, atoms, model)
    assert found == pytest.approx(np.ones(30), abs=1e-6)


def test_a_residue_outside_the_box_has_none(pair):
    density, atoms, model = pair
    grid = density.grid.region((0, 0, 0), density.grid.shape)
    away = type(grid)(grid.shape, grid.voxel_size, (1000.0, 0.0, 0.0))
    assert np.isnan(correlation_by_residue(density.values, away, atoms, model)).all()


@pytest.mark.parametrize(
    ("resolution", "b", "wanted"), [(3.2, 40.0, 3.2), (2.0, 40.0, 3.0), (12.0, 40.0, 10.0)]
)
def test_an_atom_reaches_as_far_as_phenix_says(resolution, b, wanted):
    assert atom_radius(resolution, b) == pytest.approx(wanted)


def test_a_blurred_atom_reaches_farther():
    # Far beyond the resolution's own image a carbon is a Gaussian of B / (8 pi^2), whose inflection is at sigma.
    assert atom_radius(2.0, 400.0) == pytest.approx(2 * np.sqrt(400 / (8 * np.pi**2)), rel=0.1)
