"""The rate benchmark: rivals that decode from their bytes alone, the search for their knobs, the results."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from bench import ours, rate, steps
from bench.measure import Row
from bench.process import StepError, run_step
from bench.reporting import command_line, compare_with
from bench.rivals import CODECS
from bench.search import smallest
from bench.source import Referee, Source, bound_bytes, make_source, read_source
from bench.table import markdown_table, rate_table, summary
from nmap.errors import GridError, OptionError
from nmap.grid import Grid
from nmap.maps import DensityMap, write_map
from nmap.spectrum import band_limited

EXAMPLE = Path(__file__).parents[2] / "examples" / "emd_3488.map.gz"


def blobs(shape: tuple[int, int, int] = (20, 24, 28)) -> DensityMap:
    """Smoothed noise under a ball, on a box that is no cube."""
    grid = Grid(shape, (1.5, 1.5, 1.5), origin=(3.0, -4.5, 1.5))
    noise = np.random.default_rng(5).standard_normal(shape, dtype=np.float32)
    z, y, x = np.ogrid[tuple(slice(n) for n in shape)]
    distance = np.sqrt((z - shape[0] / 2) ** 2 + (y - shape[1] / 2) ** 2 + (x - shape[2] / 2) ** 2)
    return DensityMap(band_limited(noise, grid, 4.5) * (distance < 9), grid)


def blob_source() -> Source:
    return make_source(blobs(), "blobs", 5.0)


@pytest.fixture
def blob_file(tmp_path: Path) -> Path:
    path = tmp_path / "blobs.mrc"
    write_map(blobs(), path)
    return path


@pytest.mark.parametrize("name", CODECS)
def test_a_rival_decodes_from_its_bytes_and_reaches_the_fidelity_asked_for(name: str) -> None:
    codec = CODECS[name]
    if codec.package:
        pytest.importorskip(codec.package)
    source = blob_source()
    coarse, fine = smallest(source, codec, [0.6, 0.95], tries=7)
    assert coarse is not None
    assert fine is not None
    decoded = codec.decode(codec.encode(source, fine.knob), source.grid)
    assert decoded.shape == source.grid.shape
    assert Referee(source).worst(decoded) == fine.worst >= 0.95
    assert coarse.size < fine.size if codec.knob else coarse.size == fine.size


def test_white_sperr_needs_the_bytes_that_the_project_s_reference_tool_reports() -> None:
    # 9 141 bytes: EMD-3488 to 3.2 A at a worst shell of 0.9, by the tool that states the project's targets.
    pytest.importorskip("imagecodecs")
    source = read_source(EXAMPLE, 3.2)
    (trial,) = smallest(source, CODECS["white+sperr"], [0.9])
    assert trial is not None
    assert trial.size == pytest.approx(9141, rel=0.02)


def test_gzip_loses_nothing() -> None:
    source = blob_source()
    codec = CODECS["gzip"]
    assert (codec.decode(codec.encode(source, 0), source.grid) == source.values).all()


def test_our_bytes_are_those_of_a_file_that_decodes_to_the_fidelity_asked_for(tmp_path: Path) -> None:
    source, path = blob_source(), tmp_path / "blobs.nmap"
    seconds = ours.encode(source, ours.Settings(0.5, symmetry="C1", effort="low"), path)
    decoded, _ = ours.decode(path)
    size, container = ours.count(path)
    assert seconds > 0
    assert Referee(source).worst(decoded) >= 0.5
    assert 0 < size < container == path.stat().st_size


def test_the_bound_is_one_bit_per_degree_of_freedom_at_a_correlation_of_root_three_quarters() -> None:
    density = DensityMap(
        np.random.default_rng(0).standard_normal((20, 20, 20)), Grid((20, 20, 20), (2.0,) * 3)
    )
    source = make_source(density, "noise", 8.0, np.ones((20, 20, 20), np.float32))
    freedom = 4 / 3 * math.pi / 8.0**3 * 40.0**3
    assert bound_bytes(source, math.sqrt(0.75)) == pytest.approx(freedom / 8)


def test_everybody_gets_the_map_times_the_mask(blob_file: Path, tmp_path: Path) -> None:
    density = blobs()
    mask = np.zeros(density.grid.shape, np.float32)
    mask[5:15, 5:15, 5:15] = 0.5
    write_map(DensityMap(mask, density.grid), tmp_path / "mask.mrc")
    source = read_source(blob_file, 5.0, str(tmp_path / "mask.mrc"))
    assert (source.values == density.values * mask).all()
    assert source.inside == 1000
    assert source.mask_name == "mask.mrc"


def test_a_mask_on_another_grid_is_refused_with_both_grids_named(blob_file: Path, tmp_path: Path) -> None:
    other = Grid((20, 24, 28), (1.5, 1.5, 1.5))
    write_map(DensityMap(np.ones(other.shape, np.float32), other), tmp_path / "mask.mrc")
    with pytest.raises(GridError, match=r"mask\.mrc.*from \(0, 0, 0\).*from \(3, -4\.5, 1\.5\)"):
        read_source(blob_file, 5.0, str(tmp_path / "mask.mrc"))


def test_a_map_without_density_is_refused() -> None:
    flat = DensityMap(np.full((8, 8, 8), 3.0, np.float32), Grid((8, 8, 8), (1.0, 1.0, 1.0)))
    with pytest.raises(OptionError, match="constant"):
        make_source(flat, "flat", 3.0)


def test_infinite_densities_never_count_as_faithful() -> None:
    source = blob_source()
    values = source.values.copy()
    values[0, 0, 0] = np.inf
    assert Referee(source).worst(values) == -1


def test_a_rival_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blob_source().save(tmp_path / "source.pickle")
    monkeypatch.setitem(sys.modules, "zfpy", None)
    answer = steps.search_rival(str(tmp_path / "source.pickle"), "zfp", [0.9])
    assert answer == {"missing": "zfpy"}


def test_the_memory_of_a_step_is_its_own_and_not_that_of_the_process_that_started_it() -> None:
    ballast = np.ones(50_000_000)
    small = run_step("builtins:dict", answer=ballast.size)
    assert small["answer"] == 50_000_000
    assert 1e6 < small["peak_bytes"] < 2e8


def test_a_step_that_fails_says_why_in_its_last_line() -> None:
    with pytest.raises(StepError, match="No module named 'no_such_module'"):
        run_step("no_such_module:function")


def test_a_run_writes_its_figures_its_table_and_its_plot(blob_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "results"
    reference = tmp_path / "reference.json"
    reference.write_text('{"rows": {"gzip": {"0.9": {"bytes": 10}}}}')
    arguments = [str(blob_file), "--resolution", "5", "--codecs", "gzip", "--targets", "0.9"]
    assert rate.main([*arguments, "--results", str(out), "--against", str(reference)]) == 0
    result = json.loads((out / "blobs.json").read_text())
    (row,) = result["rows"]
    assert row["worst_fsc"] == pytest.approx(1)
    assert row["psnr"] is None
    assert row["ratio"] == pytest.approx(4 * 20 * 24 * 28 / row["size"])
    assert row["encode_peak"] > row["size"]
    assert result["command"].startswith("python -m bench.rate blobs.mrc --resolution 5 ")
    assert [a["rivals.py"] for a in result["against"]] == [10]
    page = (out / "blobs.md").read_text()
    assert "(blobs.png)" in page
    assert str(tmp_path) not in page + json.dumps(result)
    assert (out / "blobs.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("extra", [["--codecs", "rar"], ["--targets", "1.5"], ["--resolution", "-2"]])
def test_a_wrong_option_is_a_usage_error(
    blob_file: Path, extra: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert rate.main([str(blob_file), "--resolution", "5", "--codecs", "gzip", *extra]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_summary_tells_our_bytes_as_a_share_of_the_rival_to_beat() -> None:
    rows = [
        Row("nmap", 0.9, 600, 10.0, 0.91),
        Row("nmap:siren", 0.9, note="worst shell reached 0.8"),
        Row("white+sperr", 0.9, 1000, 6.0, 0.9),
    ]
    assert summary(rows) == ["at 0.9: nmap 600 B, 0.600 of white+sperr's 1000 B"]
    table = rate_table(rows, {"0.9": 500.0}, 6000)
    assert "0.600" in table
    assert "worst shell reached 0.8" in table


def test_differences_from_the_reference_tool_are_shares_of_its_bytes() -> None:
    rows = [Row("sperr", 0.9, 102, 1.0, 0.9), Row("nmap", 0.9, 50, 1.0, 0.9)]
    (found,) = compare_with({"rows": {"sperr": {"0.9": {"bytes": 100}}}}, rows)
    assert found["difference"] == pytest.approx(0.02)


def test_a_command_is_told_without_the_folders_of_this_machine() -> None:
    told = command_line("bench.rate", ["/data/maps/a b.map", "--json", "out/x.json", "--mask", "auto"])
    assert told == "python -m bench.rate 'a b.map' --json x.json --mask auto"


def test_a_table_lines_up() -> None:
    assert markdown_table(["a", "bb"], [["ccc", "1"]]).split("\n") == [
        "| a   | bb |",
        "|-----|---:|",
        "| ccc |  1 |",
    ]
