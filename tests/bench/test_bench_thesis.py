"""The thesis's experiments: figures converted as its axis demands, and every command in its smallest form."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.thesis.__main__ import RESULTS, main
from bench.thesis.networks import fourier_matrix, mapped, parameters, sine_network
from bench.thesis.page import page, read_results
from bench.thesis.printed import FSC_FIGURES, NETWORK, true_resolution
from bench.thesis.setup import Setup
from bench.thesis.volume_lines import first_truer
from bench.thesis.volumes import agreement_between
from nmap.grid import Grid
from nmap.maps import DensityMap, write_map
from nmap.study.contenders import CUBIC


@pytest.mark.parametrize(
    ("name", "low", "high"), [("T20S", 2.9, 3.0), ("TRPV1", 3.0, 3.1), ("rNLRP1-rDPP9", 2.9, 3.0)]
)
def test_a_stretched_axis_is_undone(name: str, low: float, high: float) -> None:
    (figure,) = (f for f in FSC_FIGURES if f[0] == name)
    assert low <= true_resolution(figure[4], figure[2], figure[3]) <= high


def test_the_lowered_maps_figure_lies_beyond_its_nyquist() -> None:
    _, _, voxel, axis, printed = FSC_FIGURES[-1]
    assert true_resolution(printed, voxel, axis) < 2 * voxel


def test_the_thesiss_network_has_as_many_parameters_as_its_weights_file() -> None:
    assert parameters(sine_network(3, *NETWORK)) == 461_825


def test_the_basic_mapping_is_tanciks() -> None:
    points = np.array([[-1.0, 0.5]], np.float32)  # 0 and 0.75 in the unit square
    assert np.allclose(mapped(points, fourier_matrix("basic", 2, 8, 0)), [[0, -1, 1, 0]], atol=1e-6)


def test_a_smooth_density_agrees_with_the_spline_between_its_centres() -> None:
    x = np.linspace(-1, 1, 41)
    z, y, x = np.meshgrid(x, x, x, indexing="ij")
    found = agreement_between(np.asarray(np.sin(3 * z) * np.cos(2 * y) + x, np.float32))
    assert min(found.values()) > 0.9999


@pytest.mark.usefixtures("steps_run_here")
def test_every_experiment_runs_and_the_page_is_made_of_their_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = np.arange(32) - 16.0
    z, y, x = np.meshgrid(at, at, at, indexing="ij")
    values = sum(
        np.exp(-((z - a) ** 2 + (y - b) ** 2 + (x - c) ** 2) / 6) for a, b, c in [(0, 0, 0), (5, -4, 3)]
    )
    write_map(DensityMap(np.asarray(values), Grid((32, 32, 32), (1.5, 1.5, 1.5))), tmp_path / "bumps.mrc")
    where = ["--map", str(tmp_path / "bumps.mrc"), "--tiny", "--results", str(tmp_path)]
    assert main(["all", *where]) == 0
    assert main(["estimate", *where]) == 0
    found = json.loads((tmp_path / "thesis.json").read_text())
    assert list(found) == ["1", "2", "3", "4", "5", "6", "estimate"]
    assert not list(tmp_path.glob("*sweep.json"))  # a sweep that is through is in thesis.json
    written = (tmp_path / "thesis.md").read_text()
    for number, runs in found.items():
        assert runs["bumps"]["command"] == f"python -m bench.thesis {number} --map bumps.mrc --tiny"
        assert runs["bumps"]["command"] in written
        if picture := runs["bumps"]["found"].get("picture"):
            assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
    # Not in each map's section: once.
    assert len(re.findall(r"\| T20S +\| +200\^3 \| +0\.98 \| +5\.05 \| +2\.92 \|", written)) == 1
    assert str(tmp_path) not in written + (tmp_path / "thesis.json").read_text()
    capsys.readouterr()
    assert main(["all", "--resume", *where]) == 0
    assert capsys.readouterr().err.count("holds it already") == 6
    assert main(["page", "--results", str(tmp_path)]) == 0
    assert (tmp_path / "thesis.md").read_text() == written
    assert main(["1", "--map", str(tmp_path / "none.mrc")]) == 3
    assert "none.mrc" in capsys.readouterr().err


def test_an_interrupted_run_keeps_what_was_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def cut_off(setup: Setup) -> dict[str, Any]:
        raise KeyboardInterrupt

    values = np.random.default_rng(0).standard_normal((24, 24, 24)).astype(np.float32)
    write_map(DensityMap(values, Grid((24, 24, 24), (1.5, 1.5, 1.5))), tmp_path / "noise.mrc")
    monkeypatch.setattr("bench.thesis.slices.experiment_2", cut_off)
    where = ["--map", str(tmp_path / "noise.mrc"), "--tiny", "--results", str(tmp_path)]
    assert main(["all", *where]) == 130
    assert "--resume goes on" in capsys.readouterr().err
    assert list(json.loads((tmp_path / "thesis.json").read_text())) == ["1"]


def test_the_committed_page_is_made_of_the_committed_results() -> None:
    assert (RESULTS / "thesis.md").read_text() == page(read_results(RESULTS / "thesis.json"))


def test_the_page_names_the_fidelity_from_which_on_a_network_is_truer() -> None:
    def standing(goal: float, truer: bool) -> dict[str, Any]:
        by = {"worst_error": True, "total_error": truer, "worst_fsc": False, "correlation": goal == 0.9}
        return {"network": f"network at {goal:g}", "rival": CUBIC, "truer": by}

    networks = [
        {"name": f"network at {g:g}", "goal_fsc": g, "stored_bytes": round(1000 * g)} for g in (0.9, 0.98)
    ]
    study = {"networks": networks, "standings": [standing(0.9, False), standing(0.98, True)]}
    # Worst error: from the first on; total error: from the second; worst FSC: never; correlation: not to the end.
    assert first_truer(study, CUBIC) == ["0.9: 900 B", "0.98: 980 B", "-", "-"]
