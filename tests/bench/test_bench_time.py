"""The time benchmark: the recipes are what was published, and an extrapolation says that it is one."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from bench import time as bench_time
from bench.reach import Check, reach
from bench.recipes import RECIPES, Fit, neurcomp_network, thesis_network
from bench.source import Referee, make_source
from nmap.grid import Grid
from nmap.maps import DensityMap, write_map


def bumps() -> DensityMap:
    """Two bumps in a box that is no cube."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (10, 12, 14)), indexing="ij")
    values = np.exp(-6 * (z**2 + y**2 + x**2)) - 0.7 * np.exp(-9 * ((z - 0.4) ** 2 + y**2 + (x + 0.3) ** 2))
    return DensityMap(values.astype(np.float32), Grid((10, 12, 14), (2.0, 2.0, 2.0)))


def parameters(network: object) -> int:
    return sum(p.numel() for p in network.parameters())  # type: ignore[attr-defined]


def test_the_thesis_s_network_has_the_parameters_of_its_table() -> None:
    # Table 3.3 of the thesis: 1 847 300 bytes of float32.
    assert 4 * parameters(thesis_network(10**6)) == 1_847_300


def test_neurcomp_s_network_is_the_widest_below_a_fiftieth_of_the_voxels() -> None:
    network = neurcomp_network(10**6)
    width = network[0].linear.out_features  # type: ignore[index, union-attr]
    assert parameters(network) < 20_000
    assert parameters(neurcomp_network(50 * 40_000)) > 30_000
    assert width == 37


@pytest.mark.parametrize("name", ["thesis", "neurcomp"])
def test_a_recipe_brings_the_network_nearer_to_the_map(name: str) -> None:
    source = make_source(bumps(), "bumps", 6.0)
    fit = Fit(source, RECIPES[name])
    before = float(((fit.decoded() - source.values) ** 2).mean())
    fit.train_to(0.3)
    assert fit.steps > 0
    assert float(((fit.decoded() - source.values) ** 2).mean()) < before
    assert -1 <= Referee(source).worst(fit.decoded()) <= 1


def test_neurcomp_ends_after_75_passes_with_its_rate_cut_three_times() -> None:
    source = make_source(bumps(), "bumps", 6.0)
    fit = Fit(source, RECIPES["neurcomp"])
    fit.train_to(math.inf)
    assert fit.done
    assert fit.seen / source.grid.size >= 75
    assert fit.optimiser.param_groups[0]["lr"] == pytest.approx(5e-5 * 0.2**3)


def test_a_target_that_was_reached_is_dated_by_the_look_that_saw_it() -> None:
    found = reach([Check(10, 1, 0.5), Check(20, 2, 0.92), Check(40, 4, 0.95)], 0.9)
    assert (found.seconds, found.extrapolated) == (20, False)
    assert "not yet at 10.0 s" in found.how


def test_an_extrapolation_follows_the_line_and_says_so() -> None:
    # arctanh(FSC) grows by 0.2 with each doubling of the time: 0.6 at 30 s, 0.8 at 60 s, so 1.2 at 240 s.
    found = reach([Check(30, 1, math.tanh(0.6)), Check(60, 2, math.tanh(0.8))], math.tanh(1.2))
    assert found.seconds == pytest.approx(240)
    assert found.extrapolated
    assert found.how.startswith("EXTRAPOLATED from 60 s")


@pytest.mark.parametrize(
    ("curve", "reason"),
    [([0.0, 0.01], "too little signal"), ([0.5, 0.49], "no longer rising"), ([0.5, 0.5001], "at its pace")],
)
def test_nothing_is_extrapolated_from_a_fit_that_shows_no_way_there(curve: list[float], reason: str) -> None:
    found = reach([Check(30.0 * 2**i, i, worst) for i, worst in enumerate(curve)], 0.9)
    assert found.seconds is None
    assert reason in found.how


@pytest.mark.usefixtures("steps_run_here")
def test_a_run_writes_what_was_measured_and_how_it_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_map(bumps(), tmp_path / "bumps.mrc")
    arguments = [str(tmp_path / "bumps.mrc"), "--resolution", "6", "--fsc", "0.9", "--entries", "neurcomp"]
    assert bench_time.main([*arguments, "--seconds", "0.2", "--checks", "2", "--results", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "bumps-time.json").read_text())
    (entry,) = result["entries"]
    assert 1 <= len(entry["checks"]) <= 2
    assert entry["details"]["batch"] == 16384
    assert "neurcomp" in (tmp_path / "bumps-time.md").read_text()
    assert "how known" in capsys.readouterr().out


def test_an_unknown_entry_is_a_usage_error(tmp_path: Path) -> None:
    write_map(bumps(), tmp_path / "bumps.mrc")
    assert bench_time.main([str(tmp_path / "bumps.mrc"), "--resolution", "6", "--entries", "nerf"]) == 2
