"""`nmap batch` in one process: a tree of the archive from its headers to files, catalogue, archive file and page."""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from cli_files import Ran, run
from phantoms import gaussian_atoms

import nmap
from nmap.batch.manifest import read_state
from nmap.grid import Grid
from nmap.maps import DensityMap, write_map

GRID = Grid((20, 20, 20), (1.5, 1.5, 1.5))
CHEAP = (
    "--arch",
    "radial-basis",
    "--effort",
    "low",
    "--mask",
    "none",
    "--preset",
    "preview",
    "--shard",
    "0/1",
)
HEADER = """<emd emdb_id="EMD-{number}" version="3.0"><x><final_reconstruction>
<applied_symmetry><point_group>{group}</point_group></applied_symmetry><resolution>{resolution}</resolution>
</final_reconstruction></x><map><contour_list><contour primary="true"><level>0.4</level></contour></contour_list></map>
</emd>"""


def atoms(seed: int, noise: float = 0.0) -> DensityMap:
    places = np.random.default_rng(seed).uniform(8, 22, (12, 3))
    values = gaussian_atoms(GRID, places, 1.6)
    if noise:
        values += np.random.default_rng(seed + 100).normal(0, noise, values.shape).astype(np.float32)
    return DensityMap(values, GRID)


def entry(tree: Path, number: str, seed: int, group: str = "C1", resolution: str = "5.5") -> Path:
    """An entry of the archive: a packed map, and its header."""
    folder = tree / f"EMD-{number}"
    for name in ("map", "header", "other"):
        (folder / name).mkdir(parents=True)
    write_map(atoms(seed), folder / "plain.map")
    packed = folder / "map" / f"emd_{number}.map.gz"
    packed.write_bytes(gzip.compress((folder / "plain.map").read_bytes(), mtime=0))
    (folder / "plain.map").unlink()
    text = HEADER.format(number=number, group=group, resolution=resolution)
    (folder / "header" / f"emd-{number}.xml").write_text(text)
    return folder


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three good entries, one of them with half maps, and two bad ones."""
    root = tmp_path_factory.mktemp("archive")
    entry(root, "1001", 1)
    entry(root, "1002", 2, group="C7")
    halves = entry(root, "1003", 3)
    for number in (1, 2):
        write_map(atoms(3, 0.02 * number), halves / "other" / f"emd_1003_half_map_{number}.map")
    (entry(root, "1004", 4) / "map" / "emd_1004.map.gz").write_bytes(b"nothing of the kind")
    (entry(root, "1005", 5) / "map" / "emd_1005.map.gz").unlink()
    return root


@pytest.fixture(scope="module")
def batch(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    """The folder of a batch that was encoded from the tree, and what the command said."""
    out = tmp_path_factory.mktemp("batch") / "out"
    return out, run("batch", "encode", tree, "--out", out, *CHEAP)


def rows(folder: Path) -> dict[str, dict[str, str]]:
    with open(folder / "catalogue.csv", encoding="utf-8", newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def test_good_maps_are_there_bad_ones_are_named_with_their_cause(batch: tuple[Path, Ran]) -> None:
    out, said = batch
    assert said.code == 1
    assert sorted(path.name for path in out.glob("*.nmap")) == [
        "emd_1001.nmap",
        "emd_1002.nmap",
        "emd_1003.nmap",
    ]
    assert "emd_1004" in said.err
    assert "not an MRC or CCP4 map" in said.err
    assert re.search(r"failed: emd_1005: .*no such file", said.err)
    found = rows(out)
    assert {name: row["state"] for name, row in found.items()} == {
        "emd_1001": "done",
        "emd_1002": "done",
        "emd_1003": "done",
        "emd_1004": "failed",
        "emd_1005": "failed",
    }
    assert (found["emd_1004"]["error_class"], found["emd_1004"]["error_code"]) == ("MapError", "3")
    assert {path.name for path in out.iterdir() if not path.name.endswith(".nmap")} >= {
        "manifest.jsonl",
        "logs",
    }
    assert "MapError" not in (out / "logs" / "emd_1001.log").read_text()


def test_the_catalogue_is_the_same_as_parquet(batch: tuple[Path, Ran]) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(batch[0] / "catalogue.parquet").to_pylist()
    wanted = rows(batch[0])
    assert [row["id"] for row in table] == list(wanted)
    for row in table:
        given = wanted[row["id"]]
        assert {name: "" if value is None else str(value) for name, value in row.items()} == given


def test_what_a_header_gives_is_taken_and_recorded(batch: tuple[Path, Ran], tree: Path) -> None:
    last = read_state(batch[0]).last("encode")
    assert last["emd_1001"]["taken"] == {"resolution": 5.5, "contour": 0.4, "symmetry": "C1"}
    assert last["emd_1001"]["resolution_A"] == 5.5
    halves = last["emd_1003"]["taken"]
    assert halves["half1"] == str(tree / "EMD-1003" / "other" / "emd_1003_half_map_1.map")
    record = nmap.open(batch[0] / "emd_1003.nmap").record
    assert "half_map_fsc" in record["fidelity"]
    assert record["source"]["contour_level"] == pytest.approx(0.4)


def test_a_symmetry_of_a_header_that_the_map_does_not_have_is_left_out_and_said(
    batch: tuple[Path, Ran],
) -> None:
    entry = read_state(batch[0]).last("encode")["emd_1002"]
    assert entry["event"] == "done"
    assert "symmetry" not in entry["taken"]
    assert "C7" in entry["notes"][0]


def test_the_same_command_again_does_nothing(batch: tuple[Path, Ran], tree: Path) -> None:
    before = (batch[0] / "manifest.jsonl").read_bytes()
    said = run("batch", "encode", tree, "--out", batch[0], *CHEAP)
    assert said.code == 1
    assert "0 maps to do, 3 are done already, 2 failed before" in said.out
    assert (batch[0] / "manifest.jsonl").read_bytes() == before


def test_the_manifest_says_how_each_map_went(batch: tuple[Path, Ran]) -> None:
    entry = read_state(batch[0]).last("encode")["emd_1001"]
    path = batch[0] / "emd_1001.nmap"
    assert entry["output"]["bytes"] == entry["bytes"] == path.stat().st_size
    assert entry["worst_fsc"] >= 0.9
    assert entry["options"] == {"arch": "radial-basis", "effort": "low", "mask": "none", "preset": "preview"}
    assert entry["seconds"] > 0
    assert entry["peak_bytes"] > 10_000_000
    assert entry["versions"]["nmap"] == nmap.__version__


def test_inspect_says_one_line_of_each_file_and_names_those_that_cannot_be_read(
    batch: tuple[Path, Ran], tmp_path: Path
) -> None:
    (tmp_path / "bad.nmap").write_bytes(b"{}")
    said = run("batch", "inspect", batch[0], tmp_path / "bad.nmap", "--json")
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert (said.code, [line["id"] for line in lines]) == (3, ["emd_1001", "emd_1002", "emd_1003"])
    assert all(line["resolution_A"] == 5.5 for line in lines)
    assert "bad.nmap" in said.err


def test_a_packed_archive_opens_in_zipfile_and_each_map_of_it_in_every_command(
    batch: tuple[Path, Ran], tree: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "a.zip"
    assert run("batch", "pack", batch[0], "-o", archive).code == 0
    first = archive.read_bytes()
    assert run("batch", "pack", batch[0], "-o", archive, "--overwrite").code == 0
    assert archive.read_bytes() == first
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        index = json.loads(opened.read("index.json"))["maps"]
        assert opened.read("emd_1001.nmap") == (batch[0] / "emd_1001.nmap").read_bytes()
    place = index["emd_1001"]
    assert first[place["offset"] :][: place["bytes"]] == (batch[0] / "emd_1001.nmap").read_bytes()

    inside = f"{archive}::emd_1001"
    out = tmp_path / "x.mrc"
    assert run("decode", inside, "-o", out).code == 0
    assert np.array_equal(nmap.read_map(out).values, nmap.open(batch[0] / "emd_1001.nmap").as_array())
    assert "emd_1001.map.gz" in run("inspect", inside).out
    source = tree / "EMD-1001" / "map" / "emd_1001.map.gz"
    assert run("validate", inside, source, "--min-fsc", "0.9", "--no-off-grid").code == 0
    assert run("view", inside, "--export", tmp_path / "page.html").code == 0
    missing = run("inspect", f"{archive}::emd_9")
    assert (missing.code, "has no 'emd_9'" in missing.err) == (3, True)
    taken = run("decode", inside, "-o", archive, "--overwrite")
    assert (taken.code, "is the input as well" in taken.err) == (2, True)


def test_decode_writes_a_map_of_each_file(batch: tuple[Path, Ran], tmp_path: Path) -> None:
    said = run("batch", "decode", batch[0], "--out", tmp_path / "maps", "--shape", 16, "--shard", "0/1")
    assert said.code == 0 and "\n\n" not in said.out
    found = nmap.read_map(tmp_path / "maps" / "emd_1002.mrc")
    assert found.grid.shape == (16, 16, 16)
    assert found.grid.edges == pytest.approx(GRID.edges)


def test_shards_do_all_maps_once_between_them(batch: tuple[Path, Ran], tmp_path: Path) -> None:
    for number in range(2):
        assert run("batch", "decode", batch[0], "--out", tmp_path, "--shard", f"{number}/2").code == 0
    done = [set(read.last("decode")) for read in (_of(tmp_path, name) for name in ("0-of-2", "1-of-2"))]
    assert done[0] | done[1] == {"emd_1001", "emd_1002", "emd_1003"}
    assert not done[0] & done[1]


def _of(folder: Path, shard: str):  # type: ignore[no-untyped-def]
    alone = folder / shard
    alone.mkdir()
    (alone / "manifest.jsonl").write_bytes((folder / f"manifest-{shard}.jsonl").read_bytes())
    return read_state(alone)


def test_validate_measures_each_map_and_the_page_shows_the_batch(
    batch: tuple[Path, Ran], tmp_path: Path
) -> None:
    said = run("batch", "validate", batch[0], "--shard", "0/1", "--min-fsc", "0.999999")
    assert said.code == 1
    assert "3 fall short" in said.err
    measured = rows(batch[0])["emd_1001"]["validated_fsc"]
    assert 0.9 < float(measured) < 1
    page = tmp_path / "page.html"
    assert run("batch", "report", batch[0], "-o", page).code == 0
    text = page.read_text(encoding="utf-8")
    for words in (
        "5 maps: 3 encoded, 2 failed",
        "MapError: 1",
        "MissingFileError: 1",
        "emd_1003.nmap",
        "</svg>",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--shard", "2/2"), "wanted i/n"),
        (("--shard", "0/1", "--slurm"), "--slurm and --shard"),
        (("--shard", "0/1", "--workers", "2"), "--shard with --workers"),
        (("--shard", "0/1", "--resolution", "-1"), "resolution"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_written(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    write_map(atoms(1), tmp_path / "a.mrc")
    ran = run("batch", "encode", tmp_path / "a.mrc", "--out", tmp_path / "out", *arguments)
    assert (ran.code, said in ran.err) == (2, True)
    assert not (tmp_path / "out").exists()


def test_names_that_are_formulas_or_no_utf_8_are_told_apart_and_stay_harmless(tmp_path: Path) -> None:
    maps, out = tmp_path / "maps", tmp_path / "out"
    maps.mkdir()
    write_map(atoms(0), maps / "plain.mrc")
    names = (b"=1+1.mrc", b"-dash.mrc", b"caf\xe9.mrc", b"caf?.mrc", b"a::b.mrc", b"two\nlines.mrc")
    for name in names:
        (maps / os.fsdecode(name)).write_bytes((maps / "plain.mrc").read_bytes())
    told = ("--resolution", 6, "--symmetry", "C1")
    assert run("batch", "encode", maps, "--out", out, *CHEAP, *told).code == 0
    assert run("batch", "inspect", out, "-o", tmp_path / "table.csv").code == 0
    wanted = {"plain", "'=1+1", "'-dash", "caf\\xe9", "caf?", "a::b", "two\\x0alines"}
    for table in (out / "catalogue.csv", tmp_path / "table.csv"):
        with open(table, encoding="utf-8", newline="") as file:
            assert {row["id"] for row in csv.DictReader(file)} == wanted
    ran = run("batch", "pack", out, "-o", tmp_path / "a.zip")
    assert ran.code == 2 and "caf\\xe9.nmap: its name is no UTF-8" in ran.err and ran.err.count("\n") == 1
    assert not (tmp_path / "a.zip").exists()
    (out / os.fsdecode(b"caf\xe9.nmap")).unlink()
    assert run("batch", "pack", out, "-o", tmp_path / "a.zip").code == 0
    assert run("inspect", f"{tmp_path / 'a.zip'}::a::b").code == 0
    ran = run("inspect", tmp_path / "a.zip")
    assert ran.code == 3 and f"name one of its 6, {tmp_path / 'a.zip'}::ID: -dash, =1+1, a::b" in ran.err


def test_a_failed_map_is_named_with_its_file(tmp_path: Path) -> None:
    write_map(DensityMap(np.ones(GRID.shape, np.float32), GRID), tmp_path / "const.mrc")
    ran = run("batch", "encode", tmp_path / "const.mrc", "--out", tmp_path / "out", *CHEAP)
    assert ran.code == 1 and f"failed: const: {tmp_path / 'const.mrc'}: every voxel is 1" in ran.err


def test_validate_says_what_it_looks_for_where_a_folder_has_no_encoded_map(
    batch: tuple[Path, Ran], tmp_path: Path
) -> None:
    assert run("batch", "decode", batch[0], "--out", tmp_path / "decoded", "--shard", "0/1").code == 0
    ran = run("batch", "validate", tmp_path / "decoded", "--shard", "0/1")
    assert ran.code == 3 and "names no encoded map: give the --out of 'nmap batch encode'" in ran.err


@pytest.mark.parametrize("source", ["emd:3488", "https://example.org/a.map"])
def test_what_lies_elsewhere_is_no_source_of_a_batch(source: str, tmp_path: Path) -> None:
    ran = run("batch", "encode", source, "--out", tmp_path / "out")
    assert ran.code == 2 and f"{source}: a batch takes files of this machine" in ran.err
