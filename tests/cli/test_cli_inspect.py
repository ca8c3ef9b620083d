"""`nmap inspect`, `strip`, `repair`: what a file says, with less in it, after another program wrote to it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from cli_files import run, write_siren
from container_samples import sample_map
from safetensors import safe_open

import nmap
from nmap.container import encode_bytes


@pytest.fixture
def neural(tmp_path: Path) -> Path:
    """A 3-8-8-1 network over 12 x 10 x 8 voxels (x, y, z) of 2 A."""
    write_siren(tmp_path / "w.npz")
    out = tmp_path / "small.nmap"
    assert (
        run(
            "import-weights",
            tmp_path / "w.npz",
            "--omega",
            7,
            "--shape",
            "12,10,8",
            "--voxel-size",
            2,
            "-o",
            out,
        ).code
        == 0
    )
    return out


def test_the_table_names_grid_network_and_origin_of_the_weights(neural: Path) -> None:
    text = run("inspect", neural).out
    for words in (
        "12 x 10 x 8 voxels of 2 x 2 x 2 A (x, y, z)",
        "from (0, 0, 0) to (24, 20, 16) A",
        "siren, 3-8-8-1, 113 parameters",
        "imported from w.npz",
        f"{neural.stat().st_size} bytes",
    ):
        assert words in text


def test_what_an_engineer_asks_is_said_where_more_is_wanted(neural: Path) -> None:
    plain, more = run("inspect", neural).out, run("inspect", neural, "--verbose").out
    for words in ("32 bits for each", "bytes  "):
        assert words in more and words not in plain


def test_layers_omegas_and_blocks_of_a_siren_are_said(neural: Path) -> None:
    assert re.search(r"siren, 3-8-8-1, .*\n +omegas 7, 7; 1 block\n", run("inspect", neural).out)
    model = json.loads(run("inspect", neural, "--json").out)["model"]
    assert (model["layers"], model["omegas"], model["blocks"]) == ([3, 8, 8, 1], [7, 7], 1)


def test_the_blocks_of_a_siren_in_blocks_are_said() -> None:
    file = Path(__file__).parents[2] / "spec" / "conformance" / "valid" / "block-siren.nmap"
    with safe_open(file, "numpy") as opened:
        said = json.loads(opened.metadata()["nmap"])["model"]
    model = json.loads(run("inspect", file, "--json").out)["model"]
    assert model["blocks"] == said["blocks"] > 1 and model["omegas"] == said["omegas"]
    assert model["layers"] == [3, *[said["width"]] * (said["hidden"] + 1), 1]
    assert f"; {said['blocks']} blocks\n" in run("inspect", file).out


def test_json_has_the_same_facts_with_units_in_their_names(neural: Path) -> None:
    found = json.loads(run("inspect", neural, "--json").out)
    assert found["grid"]["shape_zyx"] == [8, 10, 12]
    assert found["grid"]["voxel_size_xyz_A"] == [2, 2, 2]
    assert found["grid"]["bounds_xyz_A"] == [[0, 0, 0], [24, 20, 16]]
    assert found["model"]["parameters"] == 3 * 8 + 8 + 8 * 8 + 8 + 8 + 1
    assert found["model"]["settings"]["omegas"] == [7, 7]
    assert found["bytes"]["total"] == neural.stat().st_size
    assert found["bytes"]["weights"] == 4 * found["model"]["parameters"]
    assert found["size_ratio"]["to_raw_mrc"] == pytest.approx((1024 + 4 * 960) / neural.stat().st_size)


def test_labels_of_the_source_cannot_write_to_the_terminal(neural: Path, tmp_path: Path) -> None:
    header = bytearray(1024)
    header[224:240] = b"good\x1b[2J label  "
    made = nmap.open(neural)
    nmap.save(replace(made, record={"source": {"mrc_header": bytes(header)}}), tmp_path / "odd.nmap")
    text = run("inspect", tmp_path / "odd.nmap").out
    assert "good?[2J label" in text and "\x1b" not in text


def test_verbose_says_where_the_bytes_went(neural: Path) -> None:
    assert "weights 452" in run("inspect", neural, "--verbose").out


def test_what_a_damaged_record_lost_is_said(tmp_path: Path) -> None:
    made = encode_bytes(sample_map(), hdf5=False)
    (tmp_path / "a.nmap").write_bytes(made[:-9] + bytes(9))  # the record lies last
    text = run("inspect", tmp_path / "a.nmap").out
    assert "record ends early" in text and "siren" in text
    found = json.loads(run("inspect", tmp_path / "a.nmap", "--json").out)
    assert "ends early" in found["record_error"] and found["fit"] == {}


def span_of(path: Path, tensor: str) -> tuple[int, int]:
    """Where a tensor lies in a file."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    begin, end = json.loads(data[8:start])[tensor]["data_offsets"]
    return start + begin, start + end


def test_quiet_prints_nothing(neural: Path) -> None:
    assert run("inspect", neural, "--quiet").out == ""


def weights_of(path: Path) -> dict[str, np.ndarray]:
    with safe_open(path, "np") as file:
        return {name: file.get_tensor(name) for name in file.keys() if name[:4] not in ("hdf5", "reco")}  # noqa: SIM118


def test_strip_leaves_the_weights_and_no_hdf5(neural: Path, tmp_path: Path) -> None:
    out = tmp_path / "stripped.nmap"
    assert run("strip", neural, "-o", out).code == 0
    assert out.stat().st_size < neural.stat().st_size
    assert not h5py.is_hdf5(out)
    before, after = weights_of(neural), weights_of(out)
    assert before.keys() == after.keys()
    assert all((before[name] == after[name]).all() for name in before)


def test_a_file_that_hdf5_appended_to_is_refused_with_the_cure_and_repair_mends_it(
    neural: Path, tmp_path: Path
) -> None:
    whole = neural.read_bytes()
    with h5py.File(neural, "r+") as file:
        file.attrs["note"] = "mine"
    ran = run("inspect", neural)
    assert ran.code == 3
    assert "repair" in ran.err
    assert run("repair", neural, "-o", tmp_path / "mended.nmap").code == 0
    assert (tmp_path / "mended.nmap").read_bytes() == whole


def test_a_flipped_bit_in_the_weights_is_refused(neural: Path) -> None:
    begin, _ = span_of(neural, "first.weight")
    data = bytearray(neural.read_bytes())
    data[begin] ^= 1
    neural.write_bytes(data)
    ran = run("inspect", neural)
    assert ran.code == 3
    assert ran.err.count("\n") == 1


QUICK = ("--arch", "radial-basis", "--effort", "low", "--preset", "preview")


def test_an_estimated_resolution_names_the_option_that_sets_it(data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / "EMD-3197.map"
    estimated, given = tmp_path / "estimated.nmap", tmp_path / "given.nmap"
    first = run("encode", source, estimated, *QUICK)
    assert "(estimated: " in first.out and "--resolution" in first.out
    assert "no mask: the whole box is kept" in first.out
    assert "--resolution" in run("inspect", estimated).out
    assert "--resolution" not in run("encode", source, given, *QUICK, "--resolution", 30).out


def test_the_last_shell_is_named_where_it_is_coarser_than_the_band_limit(
    data_dir: Path, tmp_path: Path
) -> None:
    source, out = data_dir / "EMD-3197.map", tmp_path / "a.nmap"  # 20 voxels of 11.4 A: shell n at 228 A / n
    assert "finest detail kept: 28.5 A" in run("encode", source, out, *QUICK, "--resolution", 27).out
    assert json.loads(run("inspect", out, "--json").out)["model"]["last_shell"] == 8
    text = run(
        "encode",
        source,
        out,
        *QUICK,
        "--resolution",
        28.5,
        "--overwrite",
    ).out
    assert "28.5 A band limit" in text and "finest detail" not in text
