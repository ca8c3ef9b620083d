"""Maps and arguments that went wrong, as a user meets them: one line, the right exit code, a way in."""

from __future__ import annotations

import json
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from cli_files import run
from phantoms import neural_map, siren

from nmap.container import save
from nmap.grid import Grid

GRID = Grid((8, 8, 8), (1.5, 1.5, 1.5))


@pytest.fixture
def maps(data_dir: Path) -> Path:
    return data_dir / "faults" / "maps"


@pytest.fixture
def neural(tmp_path: Path) -> Path:
    save(neural_map(siren(8, 1), GRID, resolution=4.0), tmp_path / "a.nmap")
    assert run("decode", tmp_path / "a.nmap", tmp_path / "a.mrc").code == 0
    return tmp_path / "a.nmap"


def test_a_mask_is_refused_or_used_alike_whatever_reads_it(maps: Path) -> None:
    pair = ("fsc", maps / "plain.mrc.gz", maps / "plain.mrc.gz", "--mask")
    refused = run(*pair, maps / "mask_imod_signed.mrc.gz")
    assert refused.code == 2 and "mask values from -128 to -127" in refused.err
    used = run(*pair, maps / "mask_unsigned_0_255.mrc.gz")
    assert used.code == 0 and "divided by 255" in used.err
    encoded = run("encode", maps / "plain.mrc.gz", "never.nmap", "--mask", maps / "mask_imod_signed.mrc.gz")
    assert encoded.code == 2 and "mask values from -128 to -127" in encoded.err


@pytest.mark.parametrize("name", ["checker32.mrc.gz", "enc-alt-13-10.mrc"])
def test_a_map_with_nothing_within_the_band_limit_is_named(maps: Path, tmp_path: Path, name: str) -> None:
    ran = run("encode", maps / name, tmp_path / "a.nmap", "--resolution", 10, "-q")
    assert ran.code == 3 and str(maps / name) in ran.err and "nothing to fit" in ran.err


def test_a_map_without_its_map_word_is_read_with_a_warning(maps: Path) -> None:
    ran = run("fsc", maps / "no_map_word.mrc.gz", maps / "plain.mrc.gz")
    assert ran.code == 0 and "nmap: warning: " in ran.err and "no 'MAP ' at byte 208" in ran.err


def test_one_map_as_both_half_maps_is_refused(neural: Path) -> None:
    source = neural.with_name("a.mrc")
    ran = run("validate", neural, source, "--half1", source, "--half2", source)
    assert ran.code == 2 and "are one map" in ran.err


def test_swapped_arguments_are_noticed_and_no_overwriting_is_advised(neural: Path) -> None:
    source = neural.with_name("a.mrc")
    for words in (("encode", neural, source), ("decode", source, neural)):
        ran = run(*words)
        assert ran.code == 2 and "swapped" in ran.err and "--overwrite" not in ran.err
    assert "decode it first" in run("fsc", neural, source).err


@pytest.mark.parametrize("option", ["--fsc-xml", "--star"])
@pytest.mark.parametrize("taken", ["a.mrc", "mask.mrc", "a.nmap"])
def test_no_output_replaces_any_input(neural: Path, option: str, taken: str) -> None:
    folder = neural.parent
    (folder / "mask.mrc").write_bytes((folder / "a.mrc").read_bytes())
    before = (folder / taken).read_bytes()
    ran = run(
        "validate", neural, folder / "a.mrc", "--mask", folder / "mask.mrc", option, folder / taken, "--overwrite"
    )  # fmt: skip
    assert ran.code == 2 and "is the input as well" in ran.err and (folder / taken).read_bytes() == before


def test_two_outputs_are_not_one_file(neural: Path, tmp_path: Path) -> None:
    out = tmp_path / "x"
    ran = run("validate", neural, neural.with_name("a.mrc"), "--fsc-xml", out, "--star", tmp_path / "." / "x")
    assert ran.code == 2 and "the output of both --fsc-xml and --star" in ran.err


def test_encode_says_its_goal_and_warns_at_once_in_json(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(16, 16, 16)).astype(np.float32)
    with mrcfile.new(tmp_path / "m.mrc", values) as mrc:
        mrc.voxel_size = 10.5
    words = (
        "--resolution",
        21,
        "--mask",
        "none",
        "--preset",
        "preview",
        "--time-budget",
        "2s",
        "--json",
        "-q",
    )
    ran = run("encode", tmp_path / "m.mrc", "-o", tmp_path / "odd", *words)
    found = json.loads(ran.out)
    assert found["goal"] == {"of": "worst-shell FSC", "wanted": 0.9}
    assert found["goal_reached"] == (ran.code == 0) and found["reached"] <= 1
    assert any("10.5 A" in line for line in found["warnings"])
    assert any("does not end in .nmap" in line for line in found["warnings"])
