"""`nmap study`: interpolation against outside references, and sweeps that go on where they were cut off."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_files import run
from scipy import ndimage, signal

from nmap.errors import OptionError, QualityError
from nmap.fit.encode import encode
from nmap.fit.options import EncodeOptions
from nmap.grid import Grid
from nmap.maps import DensityMap, read_map, write_map
from nmap.neural_map import NeuralMap
from nmap.spectrum import Shells, transform
from nmap.study.contenders import CUBIC, FOURIER, LINEAR, MEASURES, OURS, Referee, halved, interpolated
from nmap.study.interpolation import study_interpolation
from nmap.study.sweep import Cell, Sweep, run_sweep

EXAMPLE = Path(__file__).parents[2] / "examples" / "emd_3488.map.gz"


@pytest.fixture(scope="module")
def small() -> DensityMap:
    """The centre of EMD-3488 at half its sampling: 32 voxels of 2.1 A a side."""
    whole = halved(read_map(EXAMPLE))
    values = whole.values[9:41, 9:41, 9:41]
    return DensityMap(values, whole.grid.region((9, 9, 9), (32, 32, 32)), whole.header)


def test_fourier_padding_is_scipys(small: DensityMap) -> None:
    lowered = halved(small)
    ours = interpolated(lowered, small.grid.shape)[FOURIER]
    theirs = lowered.values.astype(np.float64)
    for axis in range(3):
        theirs = signal.resample(theirs, 32, axis=axis)
    assert np.abs(ours - theirs).max() < 1e-5 * np.abs(theirs).max()


@pytest.mark.parametrize(("name", "order"), [(LINEAR, 1), (CUBIC, 3)])
def test_splines_sample_the_periodic_box_at_the_voxels_own_places(
    small: DensityMap, name: str, order: int
) -> None:
    lowered = halved(small)
    ours = interpolated(lowered, small.grid.shape)[name]
    places = np.array([[3, 8, 31], [0, 0, 0], [30, 15, 7]])
    theirs = ndimage.map_coordinates(lowered.values, places.T / 2, order=order, mode="grid-wrap")
    assert np.allclose([ours[tuple(p)] for p in places], theirs, atol=1e-6)


def test_trilinear_error_is_that_of_its_known_gain() -> None:
    n, wave = 32, 5
    x = np.arange(n)
    values = np.broadcast_to(np.cos(2 * np.pi * wave * x / n), (n, n, n)).astype(np.float32)
    up = interpolated(halved(DensityMap(values, Grid((n, n, n), (1, 1, 1)))), (n, n, n))[LINEAR]
    gain = 2 * np.abs(np.fft.rfft(up[0, 0])[wave]) / n
    # Doubling by straight lines between samples passes 1, and the mean of both neighbours between: (1 + cos) / 2.
    assert gain == pytest.approx((1 + np.cos(np.pi * 2 * wave / n)) / 2, abs=1e-5)


def test_a_damped_volume_keeps_its_fsc_and_shows_its_error() -> None:
    values = np.random.default_rng(0).standard_normal((16, 16, 16)).astype(np.float32)
    shells = Shells(Grid((16, 16, 16), (1, 1, 1)))
    referee = Referee(transform(values), shells, 7, np.ones(shells.count, bool))
    damped, exact = referee.measure("damped", 0.9 * values), referee.measure("exact", values)
    assert damped.worst_fsc == pytest.approx(1, abs=1e-6)
    assert damped.correlation == pytest.approx(1, abs=1e-6)
    assert damped.worst_error == pytest.approx(0.01, rel=1e-4)  # (1 - 0.9)^2
    assert damped.total_error == pytest.approx(0.01, rel=1e-4)
    better = exact.truer_than(damped)
    assert better["worst_error"] and better["total_error"]
    assert not any(exact.truer_than(exact).values())


def test_noise_in_one_shell_shows_in_the_worst_shell_and_little_in_all() -> None:
    grid = Grid((32, 32, 32), (1, 1, 1))
    _, y, x = np.meshgrid(*(np.arange(32),) * 3, indexing="ij")
    strong, weak = np.cos(2 * np.pi * 3 * x / 32), 0.1 * np.cos(2 * np.pi * 9 * y / 32)
    shells = Shells(grid)
    counted = np.isin(np.arange(shells.count), (3, 9))
    referee = Referee(transform((strong + weak).astype(np.float32)), shells, 15, counted)
    lost = referee.measure("lost", strong.astype(np.float32))  # the weak wave is not there at all
    assert lost.worst_error == pytest.approx(1, rel=1e-4)
    assert lost.total_error == pytest.approx(0.01 / 1.01, rel=1e-3)
    assert lost.worst_fsc == pytest.approx(0, abs=1e-3)
    assert lost.correlation == pytest.approx(1 / np.sqrt(1.01), rel=1e-4)


def test_a_network_loses_nothing_by_sampling_and_nobody_knows_what_lies_beyond(small: DensityMap) -> None:
    found = study_interpolation(small, EncodeOptions(arch="radial-basis", preset="faithful", effort="low"))
    assert found.holds
    (ours,), padded = found.networks, next(c for c in found.rivals if c.name == FOURIER)
    assert padded.worst_fsc > 0.9999999
    assert ours.worst_fsc > 0.95
    assert np.abs(ours.fsc[found.last + 4 :]).max() < 0.3
    assert [s.rival for s in found.standings] == [FOURIER, LINEAR, CUBIC]
    assert not any(found.standings[0].truer.values())  # nobody is truer than padding of the lossless map
    assert all(s.shells == found.last for s in found.standings)
    told = json.loads(json.dumps(found.to_json()))
    assert told["networks"][0]["name"] == OURS
    assert set(told["measures"]) == set(told["standings"][0]["truer"]) == set(MEASURES)


def test_of_several_fidelities_those_out_of_reach_are_told(small: DensityMap) -> None:
    found = study_interpolation(
        halved(small), EncodeOptions(arch="radial-basis", effort="low"), goals=(0.5, 0.9, 0.9999999)
    )
    assert [n.goal for n in found.networks] == [0.5, 0.9]
    assert [n.name for n in found.networks] == ["network at 0.5", "network at 0.9"]
    assert all(n.worst_fsc > n.goal - 0.01 for n in found.networks)
    assert found.networks[0].stored_bytes < found.networks[1].stored_bytes
    assert [m.goal for m in found.missed] == [0.9999999]
    assert "worst shell" in found.missed[0].reason
    with pytest.raises(OptionError, match="name each once"):
        study_interpolation(small, goals=(0.5, 0.5))


def test_the_command_writes_table_json_and_picture(small: DensityMap, tmp_path: Path) -> None:
    write_map(small, tmp_path / "small.mrc")
    files = ["--json", tmp_path / "i.json", "--plot", tmp_path / "i.png"]
    done = run("study", "interpolation", tmp_path / "small.mrc", "--preset", "preview", *files)
    assert "kind of network: block-siren" in done.out
    assert done.code == 0, done.err
    assert all(name in done.out for name in (OURS, FOURIER, LINEAR, CUBIC, *MEASURES.values()))
    assert "network against Fourier padding: by none" in done.out
    assert json.loads((tmp_path / "i.json").read_text())["sampling_loss"] < 0.005
    assert (tmp_path / "i.png").read_bytes().startswith(b"\x89PNG")
    assert run("study", "interpolation", tmp_path / "small.mrc", *files).code == 2


def test_the_command_names_a_fidelity_that_it_could_not_reach(
    small: DensityMap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def limited(density: DensityMap, options: EncodeOptions, **how: Any) -> NeuralMap:
        if options.goal_fsc > 0.9:
            raise QualityError("worst shell to 8.4 A reached 0.97: ask for less")
        return encode(density, options, **how)

    monkeypatch.setattr("nmap.study.interpolation.encode", limited)
    write_map(small, tmp_path / "small.mrc")
    done = run("study", "interpolation", tmp_path / "small.mrc", "--target-fsc", "0.5,0.98")
    assert done.code == 1
    assert "network at 0.5 " in done.out
    assert "network at 0.98: not reached: worst shell to 8.4 A reached 0.97\n" in done.out
    assert "falls short: 0.98 not reached: worst shell to 8.4 A reached 0.97: ask for less" in done.err
    assert run("study", "interpolation", tmp_path / "small.mrc", "--target-fsc", "1.5").code == 2


def test_a_map_too_small_to_halve_is_refused() -> None:
    tiny = DensityMap(np.eye(8, dtype=np.float32)[None].repeat(8, 0), Grid((8, 8, 8), (1, 1, 1)))
    with pytest.raises(OptionError, match="at least 16"):
        study_interpolation(tiny)


def test_a_sweep_goes_on_where_it_was_cut_off(small: DensityMap, tmp_path: Path) -> None:
    path = tmp_path / "sweep.json"
    options = EncodeOptions(arch="siren", weight_bits=16, mask="none", steps=2, resolution=8)
    sweep = Sweep((1, 2), (8,), (15.0, 30.0), options)
    seen: list[Cell] = []

    def cut_off(cell: Cell, done: int, of: int, left: float) -> None:
        seen.append(cell)
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(small, sweep, path, report=cut_off)
    assert len(json.loads(path.read_text())["cells"]) == 2
    anew: list[int] = []
    cells = run_sweep(small, sweep, path, report=lambda cell, done, of, left: anew.append(done))
    assert anew == [3, 4]
    assert cells[:2] == seen  # seconds included: they were not fitted again
    assert [c.key for c in cells] == sweep.keys
    # 3-8-8-1 and 3-8-8-8-1 have 3*8+8 + 8*8+8 + 8+1 parameters, and 72 more.
    assert [c.parameters for c in cells] == [113, 113, 185, 185]
    with pytest.raises(OptionError, match="steps is 2, here 3"):
        other = EncodeOptions(arch="siren", weight_bits=16, mask="none", steps=3, resolution=8)
        run_sweep(small, Sweep((1,), (8,), (15.0,), other), path)


def test_an_interrupted_sweep_says_that_it_can_go_on(
    small: DensityMap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    write_map(small, tmp_path / "small.mrc")
    monkeypatch.setattr("nmap.study.sweep.encode", interrupted)
    done = run("study", "sweep", tmp_path / "small.mrc", "-o", tmp_path / "s.json", "--quick")
    assert done.code == 130
    assert "run it again to go on" in done.err


def test_studies_load_no_torch_before_they_fit() -> None:
    program = "import sys, nmap.study, nmap_cli.study; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_sweep_command_prints_a_table_and_draws_it(small: DensityMap, tmp_path: Path) -> None:
    write_map(small, tmp_path / "small.mrc")
    arguments = ["--depths", "1", "--widths", "8", "--omegas", "15,30", "--steps", "2", "--resolution", "8"]
    results = ["-o", tmp_path / "s.json", "--plot", tmp_path / "s.png"]
    done = run("study", "sweep", tmp_path / "small.mrc", *arguments, *results)
    assert done.code == 0, done.err
    assert "2/2: depth 1, width 8, omega 30" in done.err
    assert "lowered" not in done.out and "2 steps each" in done.out and "shells to 8 A" in done.out
    more = run("study", "sweep", tmp_path / "small.mrc", *arguments, "--omegas", "15,30,45", *results[:2])
    assert "3 networks, 2 of them in" in more.err and "2/3" not in more.err and "3/3: " in more.err
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "s.json").write_text("{}")
    assert run("study", "sweep", tmp_path / "small.mrc", *arguments, *results[:2]).code == 2
