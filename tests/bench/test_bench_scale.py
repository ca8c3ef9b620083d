"""The benchmark of sizes: what it simulates, runs and writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.scale import growth, main
from bench.simulate_large import random_rotation, simulated
from nmap.grid import Grid
from nmap.spectrum import Shells, power

MODEL = Path(__file__).parent.parent / "data" / "5me2_A1-30.pdb.gz"


def test_a_growth_is_the_exponent_with_the_voxels():
    rows = [{"size": n, "cpu": 2.0 * (n**3) ** 1.25} for n in (32, 64, 128, 256)]
    assert growth(rows, "cpu") == pytest.approx(1.25)
    assert growth(rows[:1], "cpu") is None


def test_a_random_rotation_is_one():
    turn = random_rotation(np.random.default_rng(0))
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)


def test_a_simulated_tomogram_has_density_everywhere_and_nothing_beyond_its_resolution():
    grid = Grid((24, 40, 40), (10.0, 10.0, 10.0))
    values = simulated("tomogram", grid, 30.0, 1, 0).values
    found, last = power(values, grid), Shells(grid).last(30.0)
    assert found[last + 1 :].max() < 1e-8 * found[1:last].max()
    assert values[:12].std() == pytest.approx(values[12:].std(), rel=0.3)


@pytest.mark.usefixtures("steps_run_here")
def test_every_step_of_a_small_map_is_measured_and_written(tmp_path):
    arguments = [str(MODEL), "--sizes", "32", "--voxel", "2", "--resolution", "8", "--series", "one"]
    assert main([*arguments, "--results", str(tmp_path)]) == 0
    (row,) = json.loads((tmp_path / "scale.json").read_text())["rows"]
    assert row["encode_bytes"] > 0
    assert row["encode_worst"] == pytest.approx(row["validate_worst"], abs=1e-3)
    assert row["decode_peak_bytes"] > 0
    assert "32^3" in (tmp_path / "scale.md").read_text()
    assert (tmp_path / "scale.png").read_bytes().startswith(b"\x89PNG")
