"""`nmap encode`: from a map file to a `.nmap`, what is said on the way, and what Ctrl-C leaves."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from cli_files import run
from phantoms import gaussian_atoms

from nmap.grid import Grid

STEPS = 120
SMALL = (
    "--arch",
    "siren",
    "--resolution",
    8,
    "--hidden-features",
    32,
    "--hidden-layers",
    1,
    "--steps",
    STEPS,
    "--device",
    "cpu",
    "--weight-bits",
    8,
    "--target-fsc",
    0.1,
)

BUMPS = ("--arch", "radial-basis", "--resolution", 8)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three Gaussian blobs in 24 x 22 x 20 voxels (x, y, z) of 2 A."""
    path = tmp_path_factory.mktemp("map") / "blobs.mrc"
    places = 2 * np.array([(9, 9, 9), (14, 12, 11), (10, 13, 8)])
    values = gaussian_atoms(Grid((20, 22, 24), (2.0, 2.0, 2.0)), places, 2 * np.sqrt(3))
    with mrcfile.new(path, values) as mrc:
        mrc.voxel_size = 2
    return path


@pytest.fixture(scope="module")
def encoded(source: Path) -> tuple[Path, str, str]:
    """An encoded map with what was printed on stdout and stderr."""
    out = source.with_name("blobs.nmap")
    ran = run("encode", source, out, *SMALL)
    assert ran.code == 0, ran.err
    return out, ran.out, ran.err


def test_the_summary_says_size_ratio_band_limit_worst_shell_and_network(
    encoded: tuple[Path, str, str],
) -> None:
    path, text, _ = encoded
    for words in (
        f"{path.stat().st_size} bytes",
        "8 A band limit",
        "lowest FSC of the shells to 8 A",
        "siren, 3-32-32-1",
        f"{STEPS} steps",
    ):
        assert words in text


def test_progress_is_plain_lines_where_stderr_is_no_terminal(encoded: tuple[Path, str, str]) -> None:
    lines = encoded[2].splitlines()
    assert lines
    assert "\r" not in encoded[2] and "\x1b" not in encoded[2]
    assert any(re.search(r"\b100 %", line) for line in lines)


def test_inspect_gives_the_fit_its_source_and_its_fidelity(
    encoded: tuple[Path, str, str], source: Path
) -> None:
    found = json.loads(run("inspect", encoded[0], "--json").out)
    assert found["source"]["file"] == "blobs.mrc"
    assert found["source"]["bytes"] == source.stat().st_size
    assert found["model"]["band_limit_A"] == 8
    assert found["fit"]["steps"] == STEPS
    assert -1 <= found["fidelity"]["worst"] <= 1
    assert found["size_ratio"]["to_raw_mrc"] == pytest.approx(
        source.stat().st_size / encoded[0].stat().st_size
    )


def test_the_recorded_fidelity_is_that_of_the_file_as_validate_measures_it(
    encoded: tuple[Path, str, str], source: Path
) -> None:
    recorded = json.loads(run("inspect", encoded[0], "--json").out)["fidelity"]
    text = run("validate", encoded[0], source, "--json").out
    assert f"{recorded['worst']:.4f}"[:5] in text


def test_quiet_prints_nothing_and_json_prints_only_json(source: Path, tmp_path: Path) -> None:
    ran = run("encode", source, tmp_path / "a.nmap", *SMALL, "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    ran = run("encode", source, tmp_path / "b.nmap", *SMALL, "--json", "--no-hdf5")
    assert json.loads(ran.out)["bytes"]["hdf5"] == 0


@pytest.mark.parametrize(
    "options", [SMALL, (*BUMPS, "--effort", "low", "--device", "cpu", "--preset", "preview")]
)
def test_two_encodes_of_one_map_give_the_same_bytes_and_say_how_long_each_took(
    source: Path, tmp_path: Path, options: tuple[str | int, ...]
) -> None:
    files = [tmp_path / name for name in ("one.nmap", "two.nmap")]
    for path in files:
        ran = run("encode", source, path, *options)
        assert ran.code == 0, ran.err
        assert re.search(r"how fitted +\d+ steps, \d+(\.\d+)? s, ", ran.out)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert "seconds" not in json.loads(run("inspect", files[0], "--json").out)["fit"]


def test_the_same_seed_gives_the_same_weights(
    encoded: tuple[Path, str, str], source: Path, tmp_path: Path
) -> None:
    assert run("encode", source, tmp_path / "again.nmap", *SMALL, "--no-hdf5").code == 0
    assert run("strip", encoded[0], "-o", tmp_path / "first.nmap").code == 0
    assert (tmp_path / "again.nmap").read_bytes() == (tmp_path / "first.nmap").read_bytes()


def test_an_output_that_exists_is_refused_before_the_source_is_even_read(tmp_path: Path) -> None:
    (tmp_path / "no.mrc").write_bytes(b"not a map")
    (tmp_path / "out.nmap").write_bytes(b"mine")
    ran = run("encode", tmp_path / "no.mrc", tmp_path / "out.nmap")
    assert ran.code == 2
    assert "--overwrite" in ran.err
    assert (tmp_path / "out.nmap").read_bytes() == b"mine"


def test_a_source_that_is_no_map_is_3(tmp_path: Path) -> None:
    (tmp_path / "no.mrc").write_bytes(b"not a map")
    ran = run("encode", tmp_path / "no.mrc", tmp_path / "out.nmap")
    assert ran.code == 3
    assert "no.mrc" in ran.err and ran.err.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [
        ("--hidden-features", "0"),
        ("--hidden-layers", "-1"),
        ("--weight-bits", "1"),
        ("--omega0", "nan"),
        ("--resolution", "-3"),
        ("--steps", "0"),
        ("--downsample", "0"),
        ("--crop", "1000"),
        ("--arch", "transformer"),
        ("--mask", "blobs.txt"),
    ],
)
def test_an_option_out_of_range_is_refused_in_one_line_and_nothing_is_written(
    options: tuple[str, str], source: Path, tmp_path: Path
) -> None:
    ran = run("encode", source, tmp_path / "a.nmap", "--steps", 2, *options)
    assert ran.code == (3 if options[0] == "--mask" else 2), ran.err
    assert ran.err.splitlines()[-1].startswith("nmap: error: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("factor", "voxel", "words"),
    [
        (0.0, 2.0, "every voxel is 0: there is no density to fit"),
        (1.0, 1e-5, "voxels of 1e-05 A: wanted 0.0005 A or more"),
        (1e17, 2.0, "the values span 1.06e"),
        (1e-30, 2.0, "the values span 1.06e"),
    ],
)
def test_a_map_that_nothing_can_be_fitted_to_is_3_with_its_path_before_torch_is_loaded(
    source: Path, tmp_path: Path, factor: float, voxel: float, words: str
) -> None:
    path = tmp_path / "odd.mrc"
    with mrcfile.new(path, mrcfile.read(source) * np.float32(factor)) as mrc:
        mrc.voxel_size = voxel
    code = (
        "import sys\nfrom nmap_cli.main import cli\n"
        f"try: cli(['encode', {str(path)!r}, {str(tmp_path / 'a.nmap')!r}])\n"
        "finally: print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "False\n")
    assert done.stderr.startswith(f"nmap: error: {path}: {words}") and done.stderr.count("\n") == 1
    assert ("(--voxel-size)" in done.stderr) == (voxel < 1)


def test_an_output_that_is_no_regular_file_is_refused_before_the_source_is_read(tmp_path: Path) -> None:
    (tmp_path / "no.mrc").write_bytes(b"not a map")
    (tmp_path / "link").symlink_to(tmp_path / "none" / "out.nmap")
    for output, words in (("/dev/null", "is not a regular file"), (tmp_path / "link", "there is no folder")):
        ran = run("encode", tmp_path / "no.mrc", output, "--overwrite")
        assert ran.code == 2
        assert ran.err.startswith(f"nmap: error: {output}: {words}")


def test_a_map_larger_than_max_memory_is_4(source: Path, tmp_path: Path) -> None:
    ran = run("encode", source, tmp_path / "a.nmap", "--max-memory", "10K")
    assert ran.code == 4


def test_a_map_without_voxel_size_needs_the_option(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "zero.mrc"
    with mrcfile.new(path, mrcfile.read(source)):
        pass
    ran = run("encode", path, tmp_path / "a.nmap", *SMALL)
    assert ran.code == 3 and "--voxel-size" in ran.err
    assert run("encode", path, tmp_path / "a.nmap", *SMALL, "--voxel-size", 2).code == 0
    found = json.loads(run("inspect", tmp_path / "a.nmap", "--json").out)
    assert found["grid"]["voxel_size_xyz_A"] == [2, 2, 2]


def test_crop_and_downsample_come_back_in_their_place(source: Path, tmp_path: Path) -> None:
    assert run("encode", source, tmp_path / "a.nmap", *SMALL, "--crop", 16, "--downsample", 2).code == 0
    grid = json.loads(run("inspect", tmp_path / "a.nmap", "--json").out)["grid"]
    assert grid["shape_zyx"] == [8, 8, 8]
    assert grid["voxel_size_xyz_A"] == [4, 4, 4]
    assert grid["origin_xyz_A"] == [8, 6, 4]


def heed_ctrl_c() -> None:
    """Undo what a shell does to commands in its background: they would ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def interrupted(source: Path, out: Path, *options: str) -> tuple[int, str]:
    """Start a fit that would run for hours, press Ctrl-C once it is under way; exit code and stderr."""
    words = [sys.executable, "-m", "nmap", "encode", source, out, *SMALL, "--steps", 10_000_000, *options]
    with subprocess.Popen(
        list(map(str, words)),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_ctrl_c,  # noqa: PLW1509
    ) as process:
        assert process.stderr is not None
        first = ""
        while "fitting" not in first:
            first = process.stderr.readline()
            assert first, "ended before it began"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        return process.wait(60), rest


def test_ctrl_c_leaves_nothing_and_gives_130(source: Path, tmp_path: Path) -> None:
    code, text = interrupted(source, tmp_path / "a.nmap")
    assert code == 130
    assert "Traceback" not in text and "interrupted" in text
    assert not list(tmp_path.iterdir())


def test_ctrl_c_keeps_the_best_so_far_where_asked(source: Path, tmp_path: Path) -> None:
    code, text = interrupted(source, tmp_path / "a.nmap", "--keep-on-interrupt")
    assert code == 130
    assert "Traceback" not in text
    assert run("decode", tmp_path / "a.nmap", "-o", tmp_path / "a.mrc").code == 0


def test_by_default_the_worst_shell_of_a_radial_basis_reaches_the_preset_faithful(
    data_dir: Path, tmp_path: Path
) -> None:
    ran = run(
        "encode",
        data_dir / "EMD-3197.map",
        tmp_path / "a.nmap",
        *BUMPS[:2],
        "--effort",
        "low",
        "--no-hdf5",
        "--json",
    )
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["model"]["kind"] == "radial-basis"
    assert found["fidelity"]["worst"] >= 0.995
    assert run("validate", tmp_path / "a.nmap", data_dir / "EMD-3197.map", "--min-fsc", 0.995).code == 0


def test_a_contour_level_is_kept_with_its_counterpart_in_the_decode(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.nmap"
    ran = run("encode", source, out, *BUMPS, "--effort", "low", "--preset", "preview", "--contour", 0.3)
    assert ran.code == 0, ran.err
    assert run("decode", out, "-o", tmp_path / "a.mrc").code == 0
    found = json.loads(run("inspect", out, "--json").out)
    assert found["source"]["contour_level"] == pytest.approx(0.3)
    volumes = []
    for path, level in ((source, 0.3), (tmp_path / "a.mrc", found["fidelity"]["contour_level"])):
        with mrcfile.open(path) as mrc:
            volumes.append(8 * np.count_nonzero(mrc.data > level))
    assert volumes[0] == pytest.approx(found["fidelity"]["contour_volume"])
    assert volumes[1] == pytest.approx(volumes[0], rel=0.01)
    measured = json.loads(run("validate", out, source, "--json").out)["contour"]
    assert measured["decoded_level"] == pytest.approx(found["fidelity"]["contour_level"], rel=1e-4)
    assert "contour at" in run("validate", out, source).out
    assert "for 0.3 of the map" in run("inspect", out).out


def test_every_print_of_a_file_says_whether_its_finest_parts_are_kept(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.nmap"
    for preset, warned in (("preview", True), ("faithful", False)):
        ran = run("encode", source, out, *BUMPS, "--effort", "low", "--preset", preset, "--overwrite")
        assert ran.code == 0, ran.err
        for text in (ran.out, run("inspect", out).out, run("validate", out, source).out):
            words = " ".join(text.split())
            assert ("detail may be missing" in words) == warned
            assert warned or "etail kept" in words


def test_a_target_that_is_missed_is_1_and_nothing_is_written(source: Path, tmp_path: Path) -> None:
    ran = run("encode", source, tmp_path / "a.nmap", *SMALL, "--target-fsc", 0.99999)
    assert ran.code == 1
    assert "0.99999" in ran.err.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_the_page_of_report_can_come_with_the_file(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nmap.report.file

    monkeypatch.setattr(nmap.report.file, "build_report", lambda r: f"{r.identity} {r.findings.to_json()}")
    out, page, again = tmp_path / "a.nmap", tmp_path / "a.html", tmp_path / "again.html"
    other = tmp_path / "half2.mrc"
    with mrcfile.open(source) as first:
        noise = np.random.default_rng(0).normal(0, 1e-3 * np.ptp(first.data), first.data.shape)
        with mrcfile.new(other, first.data + noise.astype(np.float32)) as second:
            second.voxel_size = first.voxel_size
    halves = ("--half1", source, "--half2", other)
    ran = run("encode", source, out, "--resolution", 8, "--preset", "preview", *halves, "--report", page)
    assert ran.code == 0, ran.err
    assert str(page) in ran.out
    assert run("report", out, source, *halves, "-o", again).code == 0
    assert page.read_text() == again.read_text()


def test_a_report_that_fails_leaves_the_file(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nmap.report.file

    def fail(*_given: object, **_more: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nmap.report.file, "build_report", fail)
    ran = run("encode", source, tmp_path / "a.nmap", *SMALL, "--report", tmp_path / "a.html", "--quiet")
    assert ran.code == 4
    assert "a.nmap is written, its report is not" in ran.err and "No space left" in ran.err
    assert run("decode", tmp_path / "a.nmap", "-o", tmp_path / "a.mrc").code == 0


def test_what_cannot_be_written_is_found_before_the_source_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, out = tmp_path / "bad.mrc", tmp_path / "a.nmap"
    bad.write_bytes(b"no map")
    for options, reason in (
        ((out, "--report", out), "is the output of both OUT and --report"),
        ((out, "--report", bad, "--overwrite"), "is the input as well"),
        ((out, "--report", tmp_path / "none" / "a.html"), "there is no folder"),
        ((tmp_path / "none" / "a.nmap",), "there is no folder"),
    ):
        ran = run("encode", bad, *options)
        assert ran.code == 2 and reason in ran.err and ran.err.count("\n") == 1
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and may(path, mode))
    ran = run("encode", bad, out)
    assert (
        ran.code == 4 and ran.err == f"nmap: error: {tmp_path}: may not be written to: give another folder\n"
    )


def test_a_mask_on_another_grid_is_said_to_be_resampled(source: Path, tmp_path: Path) -> None:
    for voxel, said in ((2.0, False), (4.0, True)):
        mask = tmp_path / f"mask{voxel}.mrc"
        with mrcfile.new(mask, np.zeros([int(n / voxel) for n in (40, 44, 48)], np.float32)) as mrc:
            mrc.data[2:-3, 2:-3, 2:-3] = 1
            mrc.voxel_size = voxel
        ran = run("encode", source, tmp_path / f"{voxel}.nmap", *SMALL, "--mask", mask)
        assert ran.code == 0, ran.err
        assert ("resampled from" in ran.out) == said


def test_a_time_budget_that_starting_alone_takes_is_answered_all_the_same_with_a_warning(
    source: Path, tmp_path: Path
) -> None:
    ran = run("encode", source, tmp_path / "a.nmap", "--resolution", "8", "--time-budget", "0.01s")
    assert ran.code == 1 and "the goal was not reached" in ran.err
    assert (tmp_path / "a.nmap").exists()
    warned = [line for line in ran.err.splitlines() if "longer than its time budget" in line]
    assert len(warned) == 1


def test_a_bare_network_goes_to_plain_weights_and_says_what_it_is(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "bare.nmap"
    small = ("--resolution", 8, "--hidden-features", 24, "--hidden-layers", 1, "--steps", 60)
    ran = run("encode", source, out, "--bare", *small)
    assert ran.code == 0, ran.err
    assert "no band limit: the bare network" in ran.out and "no mask, as asked" in ran.out
    assert "siren, 3-24-24-1" in ran.out and "omegas 30, 30; 1 block" in ran.out
    assert "falls short" not in ran.err
    assert run("export-weights", out, "-o", tmp_path / "w.npz").code == 0
    assert "net.net.2.0.weight" in np.load(tmp_path / "w.npz").files


@pytest.mark.parametrize(
    "options",
    [("--arch", "radial-basis"), ("--blocks", 8), ("--symmetry", "D7"), ("--gains", "least-squares")],
)
def test_what_a_bare_network_does_not_have_is_refused_in_one_line(
    source: Path, tmp_path: Path, options: tuple[object, ...]
) -> None:
    ran = run("encode", source, tmp_path / "bare.nmap", "--bare", *options)
    assert ran.code == 2 and ran.err.count("\n") == 1
    assert f"{options[0]} {options[1]} with --bare: " in ran.err and "leave one of the two out" in ran.err
    assert not (tmp_path / "bare.nmap").exists()
