"""`nmap study`: interpolation against outside references, and sweeps that go on where they were cut off."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_files import run
from scipy import ndimage, signal

from nmap.errors import OptionError
from nmap.fit.options import EncodeOptions
from nmap.grid import Grid
from nmap.maps import DensityMap, read_map, write_map
from nmap.study.interpolation import CUBIC, FOURIER, LINEAR, OURS, halved, interpolated, study_interpolation
from nmap.study.sweep import Cell, Sweep, run_sweep

EXAMPLE = Path(__file__).parent.parent / "examples" / "emd_3488.map.gz"


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


def test_a_network_loses_nothing_by_sampling_and_nobody_knows_what_lies_beyond(small: DensityMap) -> None:
    found = study_interpolation(small, EncodeOptions(preset="faithful", effort="low"))
    assert found.holds
    ours, padded = (next(c for c in found.contenders if c.name == name) for name in (OURS, FOURIER))
    assert found.worst(padded)[0] > 0.99999
    assert found.worst(ours)[0] > 0.95
    assert np.abs(ours.fsc[found.last + 4 :]).max() < 0.3
    assert found.wins(LINEAR)[2] == found.last
    assert json.loads(json.dumps(found.to_json()))["contenders"][0]["name"] == OURS


def test_the_command_writes_table_json_and_picture(small: DensityMap, tmp_path: Path) -> None:
    write_map(small, tmp_path / "small.mrc")
    files = ["--json", tmp_path / "i.json", "--plot", tmp_path / "i.png"]
    done = run("study", "interpolation", tmp_path / "small.mrc", "--preset", "small", *files)
    assert done.code == 0, done.err
    assert all(name in done.out for name in (OURS, FOURIER, LINEAR, CUBIC))
    assert json.loads((tmp_path / "i.json").read_text())["sampling_loss"] < 0.005
    assert (tmp_path / "i.png").read_bytes().startswith(b"\x89PNG")
    assert run("study", "interpolation", tmp_path / "small.mrc", *files).code == 2


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
    cells = run_sweep(small, sweep, path)
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
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "s.json").write_text("{}")
    assert run("study", "sweep", tmp_path / "small.mrc", *arguments, *results[:2]).code == 2
