"""One file, two standard readers: safetensors and HDF5 see the same weights, and edits can be mended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import safetensors
from container_samples import LABELS, full_record, mrc_header, sample_map
from phantoms import constant, neural_map

from nmap.coding.codings import encode_float
from nmap.container import encode_bytes, open_map, read_record, repair, save, strip
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
        names = [name for name in file.keys() if not name.startswith("hdf5.")]  # noqa: SIM118
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
        assert sorted(file.keys()) == sorted(stored(open_map(path)))


def test_h5py_reads_the_same_values_at_the_same_offsets(path: Path) -> None:
    arrays, data = stored(open_map(path)), path.read_bytes()
    with h5py.File(path, "r") as file:
        assert file.userblock_size == 8 + int.from_bytes(data[:8], "little")
        assert sorted(file["weights"]) == sorted(arrays)
        for name, array in arrays.items():
            dataset = file["weights"][name]
            begin = dataset.id.get_offset()
            assert data[begin : begin + array.nbytes] == array.tobytes()
            values = array
            if array.dtype == np.uint16:
                values = (array.astype(np.uint32) << 16).view(np.float32)
            assert (dataset[()] == values).all()


def test_h5py_finds_the_record_under_its_names(path: Path) -> None:
    record = full_record()
    with h5py.File(path, "r") as file:
        assert file.attrs["format"].decode() == "nmap 1.0"
        assert file["grid"].attrs["shape"].tolist() == [24, 26, 28]
        assert file["grid"].attrs["step"].tolist() == [1.25, 1.25, 1.25]
        assert file["grid"].attrs["origin"].tolist() == [-10.0, 0.0, 3.5]
        assert file["model"].attrs["kind"].decode() == "siren"
        assert file["model"].attrs["omegas"].tolist() == [15, 30, 30]
        header = file["source/mrc_header"]
        assert header[()].tobytes() == mrc_header()
        assert [text.decode().rstrip() for text in header["labels"][0]] == list(LABELS)
        assert file["source"].attrs["sha256"].decode() == record["source"]["sha256"]
        assert file["fit"].attrs["settings"].decode() == record["fit"]["settings"]
        assert file["fidelity"].attrs["fsc"] == pytest.approx(record["fidelity"]["fsc"], rel=1e-3)
        ends = file["fidelity"].attrs["frequency_range"]
        assert ends == pytest.approx(record["fidelity"]["frequency"][[0, -1]])


def test_thumbnails_are_hdf5_images(tmp_path: Path) -> None:
    save(sample_map(), tmp_path / "a.nmap", thumbnail=True)
    with h5py.File(tmp_path / "a.nmap", "r") as file:
        image = file["thumbnail/xy"]
        assert image.attrs["CLASS"] == b"IMAGE" and image.shape == (26, 28)
    safetensors.safe_open(tmp_path / "a.nmap", "np")


def test_opening_it_for_writing_and_doing_nothing_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    with h5py.File(path, "r+"):
        pass
    assert path.read_bytes() == before


def attribute(file: h5py.File) -> None:
    file.attrs["note"] = "hello"


def nested_attribute(file: h5py.File) -> None:
    file["source"].attrs["lab"] = np.arange(40)


def dataset(file: h5py.File) -> None:
    file["mine"] = np.arange(1000)
    file["fit"].create_dataset("extra", data=np.arange(100.0), chunks=(10,), compression="gzip")


def many(file: h5py.File) -> None:
    for i in range(60):
        file["fidelity"].attrs[f"a{i}"] = "text " * i
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
    start = 8 + int.from_bytes(data[:8], "little")
    data[start : start + 100] = bytes(100)
    path.write_bytes(bytes(data))
    with pytest.raises(FormatError, match="HDF5"):
        read_record(path)
    said = repair(path, tmp_path / "b.nmap")
    assert any("record could not be read" in line for line in said)
    assert (open_map(tmp_path / "b.nmap").as_array() == sample_map().as_array()).all()
    assert set(read_record(tmp_path / "b.nmap")) == {"source"}


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


def test_bfloat16_weights_are_floats_to_hdf5(tmp_path: Path) -> None:
    made = sample_map(record={})
    assert made.tensors["last.weight"].arrays[""].dtype == np.uint16
    save(made, tmp_path / "a.nmap")
    with h5py.File(tmp_path / "a.nmap", "r") as file:
        values = file["weights/last.weight"][()]
    exact = encode_float(values, "BF16")
    assert (exact.arrays[""] == made.tensors["last.weight"].arrays[""]).all()


def test_an_empty_tensor_is_empty_to_both_readers(tmp_path: Path) -> None:
    save(neural_map(constant(2.0), Grid((4, 5, 6), (1.0, 1.0, 1.0))), tmp_path / "a.nmap")
    with h5py.File(tmp_path / "a.nmap", "r") as file:
        assert file["weights/hidden.weight"][()].shape == (0, 1, 1)
    with safetensors.safe_open(tmp_path / "a.nmap", "np") as opened:
        assert opened.get_tensor("hidden.weight").shape == (0, 1, 1)
    assert (open_map(tmp_path / "a.nmap").as_array() == 2.0).all()
