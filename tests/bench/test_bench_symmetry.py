"""The benchmark of a decode's symmetry, on a map whose four copies are exact."""

from __future__ import annotations

import numpy as np

import nmap
from bench.symmetry import main
from nmap.grid import Grid
from nmap.maps import DensityMap


def test_a_fourfold_decode_and_its_source_turn_into_themselves(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("bench.symmetry.POINTS", 500)
    quarter = np.random.default_rng(0).normal(size=(31, 31, 31)).astype(np.float32)
    values = np.zeros((32, 32, 32), np.float32)
    values[1:, 1:, 1:] = sum(np.rot90(quarter, k, (1, 2)) for k in range(4))
    density = DensityMap(values, Grid(values.shape, (2.0,) * 3))
    nmap.write_map(density, tmp_path / "source.mrc")
    made = nmap.encode(
        density,
        nmap.EncodeOptions(
            arch="radial-basis", resolution=8, symmetry="C4", mask="none", effort="low", preset="preview"
        ),
    )
    nmap.save(made, tmp_path / "file.nmap")
    assert main([str(tmp_path / "file.nmap"), str(tmp_path / "source.mrc")]) == 0
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines()[2:4]]
    assert [row[1].strip() for row in rows] == ["decode", "source"]
    assert all(float(row[3]) < 1e-4 for row in rows)


def test_a_file_without_a_point_group_is_refused(tmp_path, capsys):
    density = DensityMap(
        np.random.default_rng(0).normal(size=(16,) * 3).astype(np.float32), Grid((16,) * 3, (2.0,) * 3)
    )
    nmap.write_map(density, tmp_path / "source.mrc")
    made = nmap.encode(
        density,
        nmap.EncodeOptions(
            arch="radial-basis", resolution=8, symmetry="C1", mask="none", effort="low", preset="preview"
        ),
    )
    nmap.save(made, tmp_path / "file.nmap")
    assert main([str(tmp_path / "file.nmap"), str(tmp_path / "source.mrc")]) == 2
    assert "point group" in capsys.readouterr().err
