"""The benchmark of the plain form, on a small phantom with short fits."""

from __future__ import annotations

import json

import numpy as np
import pytest

import nmap
from bench import bare
from nmap.grid import Grid
from nmap.maps import DensityMap
from nmap.spectrum import band_limited


def test_a_row_says_bytes_fidelity_and_places_and_is_written(tmp_path, capsys, monkeypatch):
    grid = Grid((24, 24, 24), (2.0,) * 3)
    noise = np.random.default_rng(0).normal(size=grid.shape).astype(np.float32)
    nmap.write_map(DensityMap(band_limited(noise, grid, 8.0), grid), tmp_path / "source.mrc")
    monkeypatch.setattr(bare, "forms", lambda symmetry, steps: {"bare": {"bare": True, "steps": steps}})
    arguments = [str(tmp_path / "source.mrc"), "--resolution", "8", "--steps", "300"]
    assert bare.main([*arguments, "--results", str(tmp_path)]) == 0
    assert "| bare" in capsys.readouterr().out
    row = json.loads((tmp_path / "source-bare.json").read_text())["rows"][0]
    assert row["container"] > row["size"] > 0 and row["cpu"] > 0
    assert row["worst"] < row["median"] < 1
    assert max(row["between"].values()) - min(row["between"].values()) == pytest.approx(0, abs=0.02)
    assert (
        row["between"]["voxels"] > 0.4
    )  # noise that fills the box, a third of a parameter for each number in it
    assert "worst shell" in (tmp_path / "source-bare.md").read_text()
