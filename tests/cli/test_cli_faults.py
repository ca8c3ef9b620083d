"""Maps and arguments that went wrong, as a user meets them: one line, the right exit code, a way in."""

from __future__ import annotations

import json
import os
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from cli_files import run
from mrc_files import mrc_bytes
from phantoms import neural_map, phantom, siren

from nmap.container import save
from nmap.grid import Grid
from nmap.maps import write_map

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


def test_a_map_of_noise_is_called_one_and_a_molecule_is_not(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(size=(32, 32, 32)).astype(np.float32)
    (tmp_path / "noise.mrc").write_bytes(mrc_bytes(noise, cella=(64, 64, 64)))
    kind = ("--arch", "radial-basis", "--symmetry", "C1", "--effort", "low")
    fit = (*kind, "--resolution", 8, "--target-fsc", 0.5, "--overwrite", "--json")
    ran = run("encode", tmp_path / "noise.mrc", tmp_path / "n.nmap", *fit)
    assert ran.code == 0 and "this looks like a map of noise" in ran.err
    assert any("looks like a map of noise" in words for words in json.loads(ran.out)["warnings"])
    assert "looks like a map of noise" in run("inspect", tmp_path / "n.nmap").out
    write_map(phantom(32, 2.0, 8.0).average, tmp_path / "m.mrc")
    ran = run("encode", tmp_path / "m.mrc", tmp_path / "n.nmap", *fit)
    assert ran.code == 0 and "looks like" not in ran.err


def test_an_image_that_misses_its_goal_is_told_so_in_rings_and_once(tmp_path: Path) -> None:
    write_map(phantom(32, 2.0, 8.0).average, tmp_path / "m.mrc")
    short = ("--slice", "z=16", "--arch", "siren", "--steps", 20, "--time-budget", "2s", "--json")
    ran = run("encode", tmp_path / "m.mrc", tmp_path / "m.nmap", *short)
    assert ran.code == 1 and "falls short: the goal was not reached: worst-ring FRC" in ran.err
    assert "shell" not in " ".join(json.loads(ran.out)["warnings"])


def test_a_map_whose_grid_alone_is_wanted_names_the_way_in(maps: Path, neural: Path, tmp_path: Path) -> None:
    whole = neural.with_name("a.mrc").read_bytes()
    (tmp_path / "v0.mrc").write_bytes(whole[:40] + bytes(12) + whole[52:])
    (tmp_path / "cut.mrc").write_bytes(whole[:92] + (1024).to_bytes(4, "little") + whole[96:])
    refused = run("decode", neural, tmp_path / "o.mrc", "--like", tmp_path / "v0.mrc")
    assert refused.code == 3 and refused.err.endswith("(--shape and --voxel-size in the place of --like)\n")
    refused = run("decode", neural, tmp_path / "o.mrc", "--like", tmp_path / "cut.mrc")
    assert refused.code == 3 and refused.err.endswith("(--permissive)\n")
    ran = run("decode", neural, tmp_path / "o.mrc", "--like", tmp_path / "cut.mrc", "--permissive")
    assert ran.code == 0 and (tmp_path / "o.mrc").read_bytes()[1024:] == whole[1024:]


def test_a_pipe_as_checkpoint_folder_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "no.mrc").write_bytes(b"no map")
    ran = run("encode", tmp_path / "no.mrc", tmp_path / "a.nmap", "--checkpoint", tmp_path / "pipe")
    assert ran.code == 2 and "is no folder" in ran.err
