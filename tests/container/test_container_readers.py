"""One file, two standard readers: safetensors and HDF5 see the same weights, and edits can be mended."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyfive
import pytest
import safetensors
import safetensors.numpy
from container_samples import LABELS, full_record, mrc_header, sample_map
from phantoms import constant, neural_map
from spec_modules import SPEC

from nmap.coding.codings import encode_float
from nmap.container import encode_bytes, open_map, repair, save, strip
from nmap.errors import AppendedDataError, FormatError, OutputExistsError
from nmap.grid import Grid
from nmap.neural_map import NeuralMap


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save(sample_map(), tmp_path / "a.nmap")
    return tmp_path / "a.nmap"


def stored(neural_map: NeuralMap) -> dict[str, np.ndarray]:
    return {
        f"{name}.{suffix}" if suffix else name: array
        for name, coded in neural_map.tensors.items()
        for suffix, array in coded.arrays.items()
    }


def test_safetensors_reads_the_same_bytes(path: Path) -> None:
    arrays = stored(open_map(path))
    with safetensors.safe_open(path, "np") as file:
        names = [name for name in file.keys() if name != "record" and name[:5] != "hdf5."]  # noqa: SIM118
        assert sorted(names) == sorted(arrays)
        for name in names:
            if arrays[name].dtype != np.uint16:  # numpy has no bfloat16, and so safetensors gives none
                assert file.get_tensor(name).tobytes() == arrays[name].tobytes()
        assert list(file.metadata()) == ["nmap"]
    entries = dict(safetensors.deserialize(path.read_bytes()))
    assert all(bytes(entries[name]["data"]) == array.tobytes() for name, array in arrays.items())


def test_without_hdf5_it_is_plain_safetensors(path: Path, tmp_path: Path) -> None:
    strip(path, tmp_path / "b.nmap")
    with safetensors.safe_open(tmp_path / "b.nmap", "np") as file:
        assert sorted(file.keys()) == sorted([*stored(open_map(path)), "record"])


def test_a_plain_file_is_what_the_safetensors_library_writes(tmp_path: Path) -> None:
    made = sample_map()
    halves = {"last.weight": encode_float(np.ones((1, 12)), "F16")}  # numpy has no bfloat16
    made = NeuralMap(made.field, {**made.tensors, **halves}, made.record)
    data = encode_bytes(made, hdf5=False)
    with safetensors.safe_open(written(tmp_path / "a.nmap", data), "np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        assert safetensors.numpy.save(tensors, file.metadata()) == data


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_h5py_reads_the_same_values_at_the_same_offsets(path: Path) -> None:
    arrays, data = stored(open_map(path)), path.read_bytes()
    with h5py.File(path, "r") as file:
        assert file.userblock_size == 8 + int.from_bytes(data[:8], "little")
        datasets = {name: file[name] for name in ("gains", "envelope", "record")}
        datasets |= dict(file["weights"].items())
        assert sorted(datasets) == sorted([*arrays, "record"])
        for name, array in arrays.items():
            begin = datasets[name].id.get_offset()
            assert data[begin : begin + array.nbytes] == array.tobytes()
            assert (datasets[name][()] == array).all()
        text = zlib.decompress(datasets["record"][()].tobytes())
        assert json.loads(text)["source"]["file"] == "emd_11007.map.gz"


def test_h5py_finds_the_record_under_its_names(path: Path) -> None:
    record = full_record()
    record["source"]["mrc_header"] = mrc_header(LABELS[:2])
    save(sample_map(record=record), path, overwrite=True)
    with h5py.File(path, "r") as file:
        root, model, said = (dict(part.attrs) for part in (file, file["weights"], file["record"]))
    assert root["format"] == b"nmap 1.0"
    assert root["shape"].tolist() == [24, 26, 28]
    assert root["voxel_size"].tolist() == [1.25, 1.25, 1.25]
    assert root["origin"].tolist() == [-10.0, 0.0, 3.5]
    assert model["kind"] == b"siren" and model["symmetry"] == b"C2" and model["band_limit"] == 5
    assert model["omegas"].tolist() == [15, 30, 30] and model["layers"].tolist() == [3, 12, 12, 12, 1]
    assert model["bounds"][0] == pytest.approx(np.subtract(*CENTER_AND_HALF))
    assert json.loads(said["source"])["sha256"] == record["source"]["sha256"]
    assert json.loads(said["fit"])["seconds"] == record["fit"]["seconds"]
    assert json.loads(said["fidelity"])["worst"] == record["fidelity"]["worst"]
    step = 64 // said["fsc"].size
    assert step in (1, 2, 4)
    for name in ("fsc", "frequency"):
        assert said[name] == pytest.approx(record["fidelity"][name][::step], rel=1e-3)


CENTER_AND_HALF = ((0.51, 0.52, 0.5333), (0.31234567, 0.32234567, 0.2987654321))


def test_opening_it_for_writing_and_doing_nothing_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    with h5py.File(path, "r+"):
        pass
    assert path.read_bytes() == before


def attribute(file: h5py.File) -> None:
    file.attrs["note"] = "hello"


def nested_attribute(file: h5py.File) -> None:
    file["weights"].attrs["lab"] = np.arange(40)


def dataset(file: h5py.File) -> None:
    file["mine"] = np.arange(1000)
    file["weights"].create_dataset("extra", data=np.arange(100.0), chunks=(10,), compression="gzip")


def many(file: h5py.File) -> None:
    for i in range(60):
        file.attrs[f"a{i}"] = "text " * i
        file["weights"].attrs[f"a{i}"] = i


def group(file: h5py.File) -> None:
    file.create_group("source/inner/deeper")
    file["alias"] = h5py.SoftLink("/weights")


@pytest.mark.parametrize("edit", [attribute, nested_attribute, dataset, many, group])
def test_an_edit_by_h5py_is_named_and_mended(
    path: Path, tmp_path: Path, edit: Callable[[h5py.File], None]
) -> None:
    before = path.read_bytes()
    with h5py.File(path, "r+") as file:
        edit(file)
    assert len(path.read_bytes()) > len(before)
    with pytest.raises(safetensors.SafetensorError):
        safetensors.safe_open(path, "np")
    with pytest.raises(AppendedDataError, match="nmap repair"):
        open_map(path)
    said = repair(path, tmp_path / "b.nmap")
    assert (tmp_path / "b.nmap").read_bytes() == before
    assert any("lost" in line for line in said)


def test_repair_drops_what_was_appended_to_plain_safetensors(tmp_path: Path) -> None:
    data = encode_bytes(sample_map(), hdf5=False)
    (tmp_path / "a.nmap").write_bytes(data + b"tail")
    repair(tmp_path / "a.nmap", tmp_path / "b.nmap")
    assert (tmp_path / "b.nmap").read_bytes() == data


def test_repair_gives_up_the_record_before_the_weights(path: Path, tmp_path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-100:] = bytes(100)  # the record lies last
    path.write_bytes(bytes(data) + b"tail")
    said = repair(path, tmp_path / "b.nmap")
    assert any("record" in line and "lost" in line for line in said)
    assert (open_map(tmp_path / "b.nmap").as_array() == sample_map().as_array()).all()
    assert open_map(tmp_path / "b.nmap").record == {}


def test_a_destroyed_hdf5_part_harms_nobody_and_repair_writes_it_anew(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    data = bytearray(before)
    start = 8 + int.from_bytes(data[:8], "little")
    data[start : start + 2000] = bytes(2000)
    path.write_bytes(bytes(data))
    assert set(open_map(path).record) == set(full_record())
    repair(path, tmp_path / "b.nmap")
    assert (tmp_path / "b.nmap").read_bytes() == before


def test_weights_changed_through_hdf5_are_not_repaired(path: Path, tmp_path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["weights/last.bias"][...] = 7
    with pytest.raises(FormatError, match="sha256"):
        repair(path, tmp_path / "b.nmap")
    assert not (tmp_path / "b.nmap").exists()


def test_repair_and_strip_keep_an_existing_output(path: Path) -> None:
    before = path.read_bytes()
    for verb in (repair, strip):
        with pytest.raises(OutputExistsError):
            verb(path, path)
    assert path.read_bytes() == before


def test_bfloat16_weights_are_raw_bits_to_hdf5(tmp_path: Path) -> None:
    made = sample_map(record={})
    save(made, tmp_path / "a.nmap")
    with h5py.File(tmp_path / "a.nmap", "r") as file:
        bits = file["weights/last.weight"][()]
    assert bits.dtype == np.uint16
    values = (bits.astype(np.uint32) << 16).view(np.float32)
    assert (values == made.field.network.tensors()["last.weight"]).all()


DUAL = sorted(path for path in (SPEC / "conformance/valid").glob("*.nmap") if h5py.is_hdf5(path))


@pytest.mark.parametrize("valid", DUAL, ids=lambda path: path.stem)
def test_other_hdf5_readers_find_the_tensors_of_the_conformance_files(valid: Path) -> None:
    data = valid.read_bytes()
    entries = {name: bytes(e["data"]) for name, e in safetensors.deserialize(data) if name[:5] != "hdf5."}
    # From memory: given a path, pyfive 1.3 looks for values without counting the user block.
    for opened in (h5py.File(valid, "r"), pyfive.File(io.BytesIO(data))):
        found = {name: opened[name] for name in opened if name != "weights"}
        found |= {name: opened["weights"][name] for name in opened["weights"]}
        assert {name: dataset[()].tobytes() for name, dataset in found.items()} == entries
        assert opened.attrs["format"] == b"nmap 1.0"


H5WASM = """
import { readFileSync } from "node:fs";
import h5wasm from "h5wasm/node";
await h5wasm.ready;
const file = new h5wasm.File(process.argv[1], "r");
const weights = file.get("weights");
console.log(JSON.stringify(Object.fromEntries(
  weights.keys().map((name) => [name, weights.get(name).shape]))));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node")
def test_h5wasm_finds_the_weights(path: Path) -> None:
    command = ["node", "--input-type=module", "-e", H5WASM, str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if "ERR_MODULE_NOT_FOUND" in ran.stderr:
        pytest.skip("h5wasm is not installed where Node looks for it")
    shapes = {name: list(array.shape) for name, array in stored(open_map(path)).items()}
    assert json.loads(ran.stdout) == {n: s for n, s in shapes.items() if n not in ("gains", "envelope")}


def test_an_empty_tensor_is_empty_to_both_readers(tmp_path: Path) -> None:
    save(neural_map(constant(2.0), Grid((4, 5, 6), (1.0, 1.0, 1.0))), tmp_path / "a.nmap")
    with h5py.File(tmp_path / "a.nmap", "r") as file:
        assert file["weights/hidden.weight"][()].shape == (0, 1, 1)
    with safetensors.safe_open(tmp_path / "a.nmap", "np") as opened:
        assert opened.get_tensor("hidden.weight").shape == (0, 1, 1)
    assert (open_map(tmp_path / "a.nmap").as_array() == 2.0).all()


def test_a_shape_whose_counts_overflow_before_its_zero_is_refused_by_the_tensors_name(path: Path) -> None:
    data = encode_bytes(sample_map(), hdf5=False)
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    last = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
    header["zz"] = {"dtype": "F32", "shape": [1 << 40, 1 << 40, 0], "data_offsets": [last, last]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[end:])
    with pytest.raises(FormatError, match=r'tensor "zz" has shape .* multiply beyond'):
        open_map(path)
