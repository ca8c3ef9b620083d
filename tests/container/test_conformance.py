"""The conformance suite, run against nmap and against the reference reader, which shares no code with it."""

from __future__ import annotations

import ast
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import h5py
import jsonschema
import numpy as np
import pytest
from spec_modules import SPEC, load

import nmap.errors
from nmap.container import decode_bytes, open_file, open_map
from nmap.inspection import inspect

SUITE = SPEC / "conformance"
MANIFEST: dict[str, Any] = json.loads((SUITE / "manifest.json").read_text())
VALID = [pytest.param(entry, id=Path(entry["file"]).stem) for entry in MANIFEST["valid"]]
RECORD = [pytest.param(entry, id=Path(entry["file"]).stem) for entry in MANIFEST["record"]]
INVALID = [pytest.param(entry, id=Path(entry["file"]).stem) for entry in MANIFEST["invalid"]]


def contents(entry: dict[str, Any]) -> bytes:
    data = (SUITE / entry["file"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == entry["sha256"], "the manifest is older than the file"
    return data


def metadata_of(data: bytes) -> dict[str, Any]:
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    metadata: dict[str, Any] = json.loads(header["__metadata__"]["nmap"])
    return metadata


@pytest.mark.parametrize("entry", VALID)
def test_a_valid_file_gives_the_values_of_the_formulas(entry: dict[str, Any]) -> None:
    decoded = decode_bytes(contents(entry))
    one = decoded.at(entry["at"]) if "at" in entry else decoded
    values = one.sample(entry["points_xyz"])
    assert np.abs(values - entry["values"]).max() <= entry["tolerance"]


@pytest.mark.parametrize("entry", VALID)
def test_the_reference_reader_gives_the_same_values(entry: dict[str, Any]) -> None:
    load("reference_radial_basis")
    load("reference_block_siren")
    load("reference_series")
    values = load("reference_reader").Map(contents(entry), entry.get("at")).sample(entry["points_xyz"])
    assert np.abs(values - entry["values"]).max() <= entry["tolerance"]


@pytest.mark.parametrize("entry", [param for param in VALID if "grids" in param.values[0]])
def test_both_readers_give_the_values_on_grids(entry: dict[str, Any]) -> None:
    load("reference_radial_basis")
    load("reference_block_siren")
    load("reference_series")
    ours, theirs = decode_bytes(contents(entry)), load("reference_reader").Map(contents(entry))
    for grid in entry["grids"]:
        shape = tuple(grid["shape"])
        wanted = np.array(grid["values"])
        assert np.abs(ours.as_array(shape).ravel() - wanted).max() <= entry["tolerance"]
        assert np.abs(theirs.on_grid(shape) - wanted).max() <= entry["tolerance"]
    assert np.ptp(wanted) > 100 * entry["tolerance"]


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("reference_reader", 200),
        ("reference_radial_basis", 110),
        ("reference_record", 110),
        ("reference_block_siren", 145),
        ("reference_series", 100),
    ],
)
def test_the_reference_reader_is_short_and_knows_nothing_of_nmap(name: str, lines: int) -> None:
    text = (SPEC / f"{name}.py").read_text()
    assert len(text.splitlines()) <= lines
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
    assert names <= {"base64", "hashlib", "itertools", "json", "math", "sys", "zlib", "numpy"}


@pytest.mark.parametrize("entry", INVALID)
def test_an_invalid_file_is_refused_with_the_right_error(entry: dict[str, Any]) -> None:
    with pytest.raises(nmap.errors.FormatError) as caught:
        decode_bytes(contents(entry))
    assert type(caught.value).__name__ == entry["error"]
    assert entry["message"] in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize("entry", INVALID)
def test_every_way_to_open_an_invalid_file_names_the_file(entry: dict[str, Any]) -> None:
    for verb in (open_map, inspect):
        with pytest.raises(nmap.errors.FormatError, match=Path(entry["file"]).name):
            verb(SUITE / entry["file"])


@pytest.mark.parametrize("entry", RECORD)
def test_a_damaged_record_keeps_no_map_from_being_decoded_and_inspect_says_what_is_lost(
    entry: dict[str, Any],
) -> None:
    contents(entry)
    opened = open_file(SUITE / entry["file"])
    assert np.abs(opened.neural_map.sample(entry["points_xyz"]) - entry["values"]).max() <= entry["tolerance"]
    kept = {group: list(items) for group, items in opened.neural_map.record.items() if items}
    if Path(entry["file"]).stem == "long-axis":
        assert kept.pop("fidelity") == ["frequency"]
    assert kept == entry["kept"]
    found = inspect(opened)
    assert entry["message"] in found.record_error
    assert "\n" not in found.record_error and len(found.record_error) < 400
    json.dumps(found.to_json())
    assert load("reference_record").read_record(contents(entry)).get("source", {}).keys() >= set(
        entry["kept"].get("source", [])
    )


@pytest.mark.parametrize("entry", VALID)
def test_the_reference_reader_finds_the_same_record(entry: dict[str, Any]) -> None:
    data = contents(entry)
    ours, theirs = decode_bytes(data).record, load("reference_record").read_record(data)
    assert bool(ours) == ("record" in Path(entry["file"]).stem)
    assert ours.keys() == theirs.keys()
    for group, items in ours.items():
        assert items.keys() == theirs[group].keys()
        for name, value in items.items():
            np.testing.assert_equal(theirs[group][name], value)


@pytest.mark.parametrize("entry", VALID)
def test_the_schema_accepts_every_valid_header(entry: dict[str, Any]) -> None:
    schema = json.loads((SPEC / "header.schema.json").read_text())
    data = contents(entry)
    jsonschema.Draft202012Validator(schema).validate(metadata_of(data))
    file = {"$schema": schema["$schema"], "$defs": schema["$defs"], "$ref": "#/$defs/file"}
    jsonschema.Draft202012Validator(file).validate(
        json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    )


# Faults of a type or a range; the others of check 8 (products of counts, cell angles) are beyond a schema.
SCHEMA_FAULTS = (
    *("version-2", "version-number", "no-grid", "grid-axes", "voxel-negative", "half-width", "scale-text"),
    *("group", "alignment", "setting-object", "no-lattice"),
)


@pytest.mark.parametrize("name", SCHEMA_FAULTS)
def test_the_schema_refuses_metadata_of_wrong_types(name: str) -> None:
    schema = json.loads((SPEC / "header.schema.json").read_text())
    metadata = metadata_of((SUITE / f"invalid/{name}.nmap").read_bytes())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(metadata)


def test_every_file_of_the_suite_is_in_the_manifest() -> None:
    listed = {entry["file"] for part in ("valid", "invalid", "record") for entry in MANIFEST[part]}
    assert {str(p.relative_to(SUITE)) for p in SUITE.glob("*/*.nmap")} == listed


def test_the_suite_can_be_made_again_byte_by_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Other deflate libraries may squeeze the few deflated texts differently, and other versions of h5py and HDF5
    # write other HDF5 parts; values do not hang on either.
    probe = zlib.compress((SUITE / "valid/no-hdf5.nmap").read_bytes(), 9)
    usual = hashlib.sha256(probe).hexdigest().startswith(PROBE)
    tools = {"h5py": h5py.version.version, "hdf5": h5py.version.hdf5_version}
    monkeypatch.syspath_prepend(SPEC)
    load("make_conformance").make(tmp_path)
    deflated = {"record-no-hdf5", "size-bomb", "commas", "deep-100001"}
    for path in sorted(SUITE.rglob("*.*")):
        dual = h5py.is_hdf5(path) or path.stem in ("appended-hdf5", "manifest")
        if (usual or path.stem not in deflated | {"record", "manifest"}) and (
            tools == MANIFEST["tools"] or not dual
        ):
            made = (tmp_path / path.relative_to(SUITE)).read_bytes()
            assert made == path.read_bytes(), f"{path.name} differs: run spec/make_conformance.py"


PROBE = "254ca553fb76d0b2"
