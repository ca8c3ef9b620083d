"""`nmap validate` and `nmap fsc` as a user meets them."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from cli_files import run
from phantoms import neural_map, siren

import nmap
from nmap.container import save
from nmap.container.layout import read_layout
from nmap.errors import GridError
from nmap.grid import Grid
from nmap.maps import DensityMap, read_map, write_map
from nmap.point_group import PointGroup
from nmap.spectrum import fsc
from nmap.validation import envelope_on, part_of_source, read_mask, validate_file
from nmap_cli.findings_text import place_rows

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "validate-schema.json").read_text())
GRID = Grid((24, 26, 28), (1.5, 1.5, 1.5), (10.0, -20.0, 3.0))


def bits():
    occupancy = np.zeros((5, 5, 5), bool)
    occupancy[1:4, 1:4, 1:4] = True
    return occupancy


@pytest.fixture(scope="module", name="files")
def make_files(tmp_path_factory):
    """A neural map, and the map that it would have been made from: its own decode with a little noise."""
    folder = tmp_path_factory.mktemp("validate")
    neural = neural_map(siren(omega=8.0), GRID, resolution=4.5, occupancy=bits())
    save(neural, folder / "a.nmap")
    values = neural.as_array()
    noise = np.random.default_rng(0).standard_normal(values.shape, dtype=np.float32)
    write_map(DensityMap(values + 0.05 * values.std() * noise, GRID), folder / "source.mrc")
    write_map(DensityMap(values + 5 * values.std() * noise, GRID), folder / "noisy.mrc")
    ball = np.zeros(GRID.shape, np.float32)
    ball[6:18, 6:20, 6:22] = 1
    write_map(DensityMap(ball, GRID), folder / "mask.mrc")
    elsewhere = Grid(GRID.shape, GRID.voxel_size, (0.0, 0.0, 0.0))
    write_map(DensityMap(values, elsewhere), folder / "elsewhere.mrc")
    return folder


def test_a_file_that_holds_exits_0_and_prints_every_number_with_its_convention(files):
    ran = run("validate", files / "a.nmap", files / "source.mrc", "--min-fsc", "0.9")
    assert ran.code == 0, ran.err
    for words in (
        "to 4.5 A, over the whole box: 0.9",
        "PSNR",
        "bits a voxel",
        "RMSE",
        "FSC 0.5 not before 4.5 A",
        "nothing invented beyond 4.5 A",
        "finer sampling is as accurate as the map's own",
    ):
        assert words in ran.out
    assert ran.err == ""


@pytest.mark.parametrize("command", ["inspect", "decode", "validate", "report"])
def test_a_command_reads_its_file_and_decodes_its_weights_once(files, tmp_path, monkeypatch, command):
    read = []
    monkeypatch.setattr(
        "nmap.container.files.read_layout",
        lambda *given: read.append(given) or read_layout(*given),
    )
    arguments = {
        "inspect": [],
        "decode": ["-o", tmp_path / "a.mrc"],
        "validate": [files / "source.mrc"],
        "report": [files / "source.mrc", "-o", tmp_path / "a.html"],
    }
    ran = run(command, files / "a.nmap", *arguments[command])
    assert ran.code == 0, ran.err
    assert len(read) == 1


def test_a_file_that_falls_short_exits_1_and_says_by_how_much(files):
    ran = run("validate", files / "a.nmap", files / "noisy.mrc", "--min-fsc", "0.9")
    assert ran.code == 1
    assert ran.err.startswith(
        "nmap: falls short: lowest FSC of the shells to 4.5 A, over the whole box is 0."
    )
    assert "wanted at least 0.9" in ran.err and len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(
    "options",
    [("--min-psnr", "90"), ("--min-correlation", "0.9999"), ("--max-rmse", "1e-9"), ("--max-bytes", "100")],
)
def test_every_limit_has_an_option(files, options):
    assert run("validate", files / "a.nmap", files / "source.mrc", *options).code == 1


def test_a_source_that_lies_elsewhere_is_a_usage_error(files):
    ran = run("validate", files / "a.nmap", files / "elsewhere.mrc")
    assert ran.code == 2
    assert "from (10, -20, 3) A" in ran.err and "from (0, 0, 0) A" in ran.err


@pytest.mark.parametrize("options", [("--half1", "source.mrc"), ("--resolution", "-3"), ("--max-bytes", "0")])
def test_options_that_make_no_sense_are_usage_errors(files, options):
    resolved = [str(files / o) if o.endswith(".mrc") else o for o in options]
    assert run("validate", files / "a.nmap", files / "source.mrc", *resolved).code == 2


def test_bad_files_exit_3(files, tmp_path):
    bad = tmp_path / "bad.nmap"
    bad.write_bytes((files / "a.nmap").read_bytes()[:-7])
    assert run("validate", bad, files / "source.mrc").code == 3
    assert run("validate", files / "a.nmap", files / "a.nmap").code == 3
    assert run("validate", files / "missing.nmap", files / "source.mrc").code == 3


def test_json_keeps_to_the_documented_schema_and_agrees_with_the_library(files):
    ran = run("validate", files / "a.nmap", files / "source.mrc", "--json", "--mask", files / "mask.mrc")
    found = json.loads(ran.out)
    jsonschema.validate(found, SCHEMA)
    decoded, source = (
        validate_file(files / "a.nmap", files / "source.mrc").decoded,
        read_map(files / "source.mrc"),
    )
    curve = fsc(decoded.values, source.values, GRID)
    assert found["fidelity"]["fsc"] == pytest.approx(list(curve.fsc), abs=1e-5)
    assert found["fidelity_masked"]["mask"] == "mask.mrc"
    assert found["sizes"]["nmap_bytes"] == (files / "a.nmap").stat().st_size
    assert found["sizes"]["raw_bytes"] == (files / "source.mrc").stat().st_size
    assert found["real_space"]["inside_fraction"] > 0.1
    assert found["off_grid"]["lowest_ratio"] == pytest.approx(1, abs=1e-3)


def test_an_automatic_mask_of_a_real_map_holds_the_molecule_and_leaves_the_solvent():
    source = read_map(Path(__file__).parents[2] / "examples" / "emd_3488.map.gz")
    soft = read_mask("auto", source, 3.2)
    assert soft is not None and soft.grid == source.grid
    assert soft.values.min() >= 0 and soft.values.max() == 1
    assert soft.values.mean() < 0.3
    assert np.sum((soft.values * source.values) ** 2) > 0.98 * np.sum(source.values**2)


def test_verbose_lists_every_shell(files):
    out = run("validate", files / "a.nmap", files / "source.mrc", "--verbose").out
    shells = out[out.index("shell        A") :].splitlines()
    assert len(shells) == 1 + 14  # half of the longest edge, 28


def test_half_maps_curves_and_files_come_with_one_command(files, tmp_path):
    xml, star = tmp_path / "fsc.xml", tmp_path / "fsc.star"
    halves = ("--half1", files / "source.mrc", "--half2", files / "noisy.mrc", "--mask", files / "mask.mrc")
    ran = run("validate", files / "a.nmap", files / "source.mrc", *halves, "--fsc-xml", xml, "--star", star)
    assert ran.code == 0, ran.err
    assert "Half-map FSC" in ran.out and "corrected for the mask" in ran.out
    assert ET.parse(xml).getroot().attrib["title"].startswith("Half-map FSC")
    assert "data_fsc" in star.read_text()
    again = run("validate", files / "a.nmap", files / "source.mrc", "--fsc-xml", xml)
    assert again.code == 2 and "exists already" in again.err
    assert run("validate", files / "a.nmap", files / "source.mrc", "--fsc-xml", xml, "--overwrite").code == 0
    assert "not a half-map FSC" in ET.parse(xml).getroot().attrib["title"]


def test_fsc_json_has_the_promised_keys(files):
    ran = run("fsc", files / "source.mrc", files / "noisy.mrc", "--json")
    found = json.loads(ran.out)
    assert {"frequency", "fsc", "modes", "crossings", "convention"} <= set(found)
    a, b = read_map(files / "source.mrc"), read_map(files / "noisy.mrc")
    curve = fsc(a.values, b.values, GRID)
    assert found["fsc"] == pytest.approx(list(curve.fsc), abs=1e-6)
    assert found["frequency"][-1] == pytest.approx(1 / 3)
    assert found["crossings"]["0.5"] == pytest.approx(curve.crossing(0.5), rel=1e-5)
    assert found["crossings"].keys() == {"0.9", "0.5", "0.143"}


def test_fsc_prints_what_it_measured_on(files, tmp_path):
    xml = tmp_path / "x.xml"
    mask = ("--mask", files / "mask.mrc")
    ran = run(
        "fsc", files / "source.mrc", files / "source.mrc", *mask, "--convention", "relion", "--fsc-xml", xml
    )
    assert ran.code == 0, ran.err
    for words in ("28 x 26 x 24 voxels", "mask.mrc", "not before Nyquist"):
        assert words in ran.out
    assert len(ET.parse(xml).getroot()) == 15


def test_fsc_refuses_maps_on_two_grids_with_both_named(files):
    ran = run("fsc", files / "source.mrc", files / "elsewhere.mrc")
    assert ran.code == 2 and "lies on" in ran.err


def test_a_file_made_from_a_crop_is_compared_with_that_part_of_its_source():
    whole = DensityMap(np.random.default_rng(0).standard_normal(GRID.shape), GRID)
    box = GRID.region((4, 2, 6), (16, 18, 12))
    part = part_of_source(box, whole)
    assert part.grid == box
    np.testing.assert_array_equal(part.values, whole.values[4:20, 2:20, 6:18])
    coarse = box.resampled((8, 9, 6))
    assert part_of_source(coarse, whole).grid == box
    with pytest.raises(GridError, match="give the map that it was made from"):
        part_of_source(GRID.region((-1, 0, 0), (8, 8, 8)), whole)
    with pytest.raises(GridError):
        part_of_source(Grid((16, 18, 12), (1.6, 1.6, 1.6), box.origin), whole)


def test_the_envelope_of_a_symmetric_map_is_folded_too():
    grid = Grid((24, 24, 24), (2.0, 2.0, 2.0))
    occupancy = np.zeros((6, 6, 6), bool)
    occupancy[:, 3:5, 4:6] = True  # to one side of the axis only
    network = siren()
    plain = neural_map(network, grid, occupancy=occupancy)
    turned = neural_map(network, grid, occupancy=occupancy, symmetry=PointGroup("C4", (24.0, 24.0, 24.0)))
    one, four = envelope_on(plain.field, grid), envelope_on(turned.field, grid)
    assert one is not None and four is not None
    core = four.make(slice(0, 24))[:, 4:21, 4:21]
    np.testing.assert_allclose(core[:, 0::2, 0::2], np.rot90(core[:, 0::2, 0::2], 1, (1, 2)), atol=1e-5)
    assert envelope_on(neural_map(network, grid).field, grid) is None


def test_a_source_sampled_coarser_than_the_file_is_2(files, tmp_path):
    coarse = GRID.resampled((12, 13, 14))
    write_map(DensityMap(np.ones(coarse.shape), coarse), tmp_path / "coarse.mrc")
    ran = run("validate", files / "a.nmap", tmp_path / "coarse.mrc")
    assert ran.code == 2 and "give the map that it was made from" in ran.err


def test_a_source_that_has_nothing_of_the_file_is_warned_of(files, tmp_path):
    noise = np.random.default_rng(3).standard_normal(GRID.shape)
    write_map(DensityMap(noise, GRID), tmp_path / "noise.mrc")
    ran = run("validate", files / "a.nmap", tmp_path / "noise.mrc")
    assert ran.code == 0
    assert "does not look like the source" in ran.out and "does not look like the source" in ran.err
    for like in ("source.mrc", "noisy.mrc"):
        assert "look like" not in run("validate", files / "a.nmap", files / like).err


def test_a_source_that_looks_like_another_map_is_said_to_and_is_not_judged_by(files, tmp_path):
    neural, source = nmap.open(files / "a.nmap"), read_map(files / "source.mrc")
    known = {
        "source": {"file": "source.mrc", "sha256": source.header.sha256},
        "fidelity": {"correlation": 0.99},
    }
    save(replace(neural, record=known), tmp_path / "a.nmap")
    write_map(replace(source, values=source.values[::-1].copy()), tmp_path / "mirrored.mrc")
    ran = run("validate", tmp_path / "a.nmap", tmp_path / "mirrored.mrc")
    for part in (
        "looks like another map",
        "the file's record has 0.9900",
        "SHA-256 differs",
        "give source.mrc",
    ):
        assert part in ran.out and part in ran.err
    assert "not judged" in ran.out and "encode --preset" not in ran.out
    own = run("validate", tmp_path / "a.nmap", files / "source.mrc")
    assert "another map" not in own.out + own.err


def without_voxel_size(path, into):
    raw = bytearray(path.read_bytes())
    raw[40:52] = bytes(12)  # CELLA
    into.write_bytes(raw)
    return into


def test_maps_whose_headers_give_no_voxel_size_take_one_from_the_command_line(files, tmp_path, monkeypatch):
    source = without_voxel_size(files / "source.mrc", tmp_path / "source.mrc")
    mask = without_voxel_size(files / "mask.mrc", tmp_path / "mask.mrc")
    asked = ("validate", files / "a.nmap", source, "--mask", mask)
    ran = run(*asked)
    assert ran.code == 3 and "--voxel-size" in ran.err
    other = without_voxel_size(files / "noisy.mrc", tmp_path / "noisy.mrc")
    ran = run(*asked, "--half1", source, "--half2", other, "--voxel-size", 1.5, "--min-fsc", 0.9)
    assert ran.code == 0, ran.err
    page = ("report", files / "a.nmap", source, "-o", tmp_path / "a.html")
    monkeypatch.setattr("nmap.report.file.build_report", lambda report: str(report.source.grid))
    assert run(*page).code == 3
    assert run(*page, "--voxel-size", 1.5).code == 0
    assert "1.5 A" in (tmp_path / "a.html").read_text()
    assert run("fsc", source, source).code == 3
    assert run("fsc", source, source, "--voxel-size", 1.5).code == 0


def test_damage_to_the_record_alone_is_a_note_for_the_densities_are_whole(files, tmp_path):
    recorded = replace(nmap.open(files / "a.nmap"), record={"fit": {"seed": 3, "device": "cpu"}})
    nmap.save(recorded, tmp_path / "recorded.nmap")
    data = bytearray((tmp_path / "recorded.nmap").read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    data[start + json.loads(data[8:start])["record"]["data_offsets"][0] + 10] ^= 0xFF
    (tmp_path / "damaged.nmap").write_bytes(data)
    ran = run("validate", tmp_path / "damaged.nmap", files / "source.mrc", "--min-fsc", "0.9")
    assert ran.code == 0, ran.err
    assert "record could not be read" in ran.out


def test_a_displacement_of_more_than_a_tenth_of_a_voxel_is_remarked_on_in_angstrom() -> None:
    grid = Grid((20, 20, 20), (11.4, 11.4, 10.0))
    assert place_rows((0.05, -0.09, 0.0), grid) == [("Place", "displaced from the source by 1 A")]
    said = place_rows((-0.11, -0.18, 0.1), grid)
    assert said[0] == ("Place", "displaced from the source by 2.1 A") and "more than 0.1 voxel" in said[1][1]
    assert place_rows((0.0001, 0.0, 0.0), grid) == [("Place", "in place (to 0.01 A)")]
