"""`.nmap` files: what goes in comes out, in the bytes that were promised."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from container_samples import GRID, LABELS, full_record, mrc_header, sample_map

from nmap.container import (
    VOCABULARY,
    decode_bytes,
    encode_bytes,
    labels,
    open_map,
    save,
    sizes,
    strip,
)
from nmap.errors import FormatError, OptionError, OutputExistsError
from nmap.grid import Grid
from nmap.maps import DensityMap, write_map
from nmap.neural_map import NeuralMap


def weights_bytes(neural_map: NeuralMap) -> int:
    return sum(coded.nbytes for coded in neural_map.tensors.values())


@pytest.mark.parametrize("hdf5", [True, False])
def test_what_is_saved_is_opened(tmp_path: Path, hdf5: bool) -> None:
    before = sample_map()
    written = save(before, tmp_path / "a.nmap", hdf5=hdf5)
    assert written == (tmp_path / "a.nmap").stat().st_size
    after = open_map(tmp_path / "a.nmap")
    assert set(after.tensors) == set(before.tensors)
    for name, coded in before.tensors.items():
        other = after.tensors[name]
        assert (other.coding, other.shape, dict(other.parameters)) == (
            coded.coding,
            coded.shape,
            dict(coded.parameters),
        )
        assert all((other.arrays[key] == coded.arrays[key]).all() for key in coded.arrays)
    assert after.field.frame == before.field.frame
    assert (after.as_array() == before.as_array()).all()


def test_the_same_map_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from container_samples import sample_map; from nmap.container import encode_bytes;"
        "sys.stdout.buffer.write(encode_bytes(sample_map()))"
    )
    tests = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    other = subprocess.run(
        [sys.executable, "-c", code, tests], capture_output=True, check=True, env=environment
    )
    assert other.stdout == encode_bytes(sample_map())


def test_opening_and_saving_changes_no_byte(tmp_path: Path) -> None:
    save(sample_map(), tmp_path / "a.nmap")
    assert encode_bytes(open_map(tmp_path / "a.nmap")) == (tmp_path / "a.nmap").read_bytes()


def test_a_full_record_costs_at_most_eight_kib_and_three_without_hdf5(tmp_path: Path) -> None:
    neural_map = sample_map(width=96)
    for hdf5, most in ((True, 8192), (False, 3072)):
        path = tmp_path / f"{hdf5}.nmap"
        assert save(neural_map, path, hdf5=hdf5) - weights_bytes(neural_map) <= most
        record: Any = open_map(path).record
        assert record["source"]["mrc_header"] == mrc_header()
        assert record["fidelity"]["fsc"].size == record["fit"]["loss"].size == 64


def test_wordier_records_pay_with_points_of_their_curves(tmp_path: Path) -> None:
    record = full_record()
    record["fit"] |= {"notes": np.random.default_rng(0).bytes(100).hex(), "device": "cpu"}
    neural_map = sample_map(width=96, record=record)
    assert save(neural_map, tmp_path / "a.nmap", hdf5=False) - weights_bytes(neural_map) <= 3072
    found: Any = open_map(tmp_path / "a.nmap").record
    assert found["fidelity"]["fsc"].size in (32, 22, 16)
    assert found["fidelity"]["frequency"].size == found["fidelity"]["fsc"].size


@pytest.mark.parametrize(("hdf5", "most"), [(True, 6144), (False, 2048)])
def test_without_a_record_less_is_enough(hdf5: bool, most: int) -> None:
    neural_map = sample_map(record={})
    assert len(encode_bytes(neural_map, hdf5=hdf5)) - weights_bytes(neural_map) <= most


def test_sizes_add_up(tmp_path: Path) -> None:
    neural_map = sample_map()
    total = save(neural_map, tmp_path / "a.nmap")
    found = sizes(tmp_path / "a.nmap")
    assert found["total"] == total == sum(v for k, v in found.items() if k != "total")
    assert found["weights"] + found["gains"] + found["envelope"] == weights_bytes(neural_map)
    strip(tmp_path / "a.nmap", tmp_path / "b.nmap")
    assert sizes(tmp_path / "b.nmap")["hdf5"] == 0 < sizes(tmp_path / "b.nmap")["record"]


def test_the_record_comes_back(tmp_path: Path) -> None:
    before = full_record()
    save(sample_map(record=before), tmp_path / "a.nmap")
    after = open_map(tmp_path / "a.nmap").record
    assert set(after) == set(before)
    for group, items in before.items():
        assert set(after[group]) == set(items)
        for name, value in items.items():
            found = after[group][name]
            if isinstance(value, np.ndarray):
                assert found == pytest.approx(value, rel=1e-3)
            elif isinstance(value, float):
                assert found == pytest.approx(value, rel=1e-6)
            else:
                assert found == value
    assert labels(mrc_header()) == LABELS


def test_long_curves_are_thinned_evenly(tmp_path: Path) -> None:
    fidelity = {"frequency": np.arange(150) / 300, "fsc": np.linspace(1, 0.5, 150)}
    save(sample_map(record={"fidelity": fidelity}), tmp_path / "a.nmap")
    found: Any = open_map(tmp_path / "a.nmap").record["fidelity"]
    assert found["fsc"].size == found["frequency"].size == 50
    assert found["frequency"] == pytest.approx(np.arange(0, 150, 3) / 300, abs=1e-6)
    assert found["fsc"] == pytest.approx(np.linspace(1, 0.5, 150)[::3], abs=5e-4)


def test_uneven_axes_and_tiny_losses_are_kept(tmp_path: Path) -> None:
    fit = {"loss": np.array([1e-3, 1e-7, 1e-9]), "loss_step": np.array([0, 10, 1000])}
    save(sample_map(record={"fit": fit}), tmp_path / "a.nmap")
    found: Any = open_map(tmp_path / "a.nmap").record["fit"]
    assert found["loss"] == pytest.approx(fit["loss"], rel=1e-6)
    assert found["loss_step"].tolist() == [0, 10, 1000]


def test_extended_headers_are_kept_whole_up_to_a_mebibyte(tmp_path: Path) -> None:
    for size in (80, 100_000, (1 << 20) + 1):
        extended = np.random.default_rng(size).bytes(size)
        record = {"source": {"mrc_header": mrc_header(), "extended_header": extended}}
        save(sample_map(record=record), tmp_path / "a.nmap", overwrite=True)
        found: Any = open_map(tmp_path / "a.nmap").record["source"]
        if size <= 1 << 20:
            assert found["extended_header"] == extended
        else:
            assert "extended_header" not in found and found["extended_header_bytes"] == size


def test_a_thumbnail_is_three_central_slices(tmp_path: Path) -> None:
    neural_map = sample_map(record={})
    save(neural_map, tmp_path / "a.nmap", thumbnail=True)
    found: Any = open_map(tmp_path / "a.nmap").record["thumbnail"]
    volume = neural_map.as_array()
    grey = found["minimum"] + found["xy"] / 255 * (found["maximum"] - found["minimum"])
    assert grey == pytest.approx(volume[12], abs=(found["maximum"] - found["minimum"]) / 500)
    assert found["xz"].shape == (24, 28) and found["yz"].shape == (24, 26)


def test_an_item_of_another_kind_than_its_name_says_is_refused_by_name() -> None:
    for items in (
        {"loss": np.zeros((2, 2))},
        {"seed": "blue"},
        {"settings": {"of": {1, 2}}},
        {"loss": np.zeros(3)},
        {"loss": np.zeros(3), "loss_step": np.zeros(4)},
    ):
        with pytest.raises(OptionError, match=f"fit.*{next(iter(items))}"):
            encode_bytes(sample_map(record={"fit": items}))


def test_texts_of_any_script_come_back(tmp_path: Path) -> None:
    record = {"source": {"file": "Ribosom-Größe β 地図.mrc"}, "fit": {"notes": ""}}
    save(sample_map(record=record), tmp_path / "a.nmap")
    found = open_map(tmp_path / "a.nmap").record
    assert found["source"]["file"] == record["source"]["file"] and found["fit"]["notes"] == ""


def test_strip_keeps_weights_and_checksum(tmp_path: Path) -> None:
    save(sample_map(), tmp_path / "a.nmap")
    strip(tmp_path / "a.nmap", tmp_path / "b.nmap")
    assert (tmp_path / "b.nmap").read_bytes() == encode_bytes(sample_map(), hdf5=False)
    texts = []
    for name in ("a.nmap", "b.nmap"):
        data = (tmp_path / name).read_bytes()
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        assert list(header["__metadata__"]) == ["nmap"]
        texts.append(header["__metadata__"]["nmap"])
    assert texts[0] == texts[1]
    assert open_map(tmp_path / "b.nmap").record["source"] == full_record()["source"]


def test_an_existing_file_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "a.nmap"
    path.write_text("precious")
    with pytest.raises(OutputExistsError):
        save(sample_map(), path)
    assert path.read_text() == "precious"
    save(sample_map(), path, overwrite=True)
    assert open_map(path).grid.shape == (24, 26, 28)


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    path = tmp_path / "a.nmap"
    path.write_text("precious")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, broken, fail)
        with pytest.raises(OSError, match="No space"):
            save(sample_map(), path, overwrite=True)
    assert path.read_text() == "precious"
    assert [p.name for p in tmp_path.iterdir()] == ["a.nmap"]


def test_the_umask_is_honoured(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        save(sample_map(), tmp_path / "a.nmap")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.nmap").stat().st_mode) == 0o640


def test_other_kinds_of_file_are_refused_with_their_name(tmp_path: Path) -> None:
    path = tmp_path / "other.nmap"
    for data in (
        b"",
        mrc_header() + bytes(4096),
        b"\x1f\x8b\x08" + bytes(100),
        b"\x89HDF\r\n\x1a\n" + bytes(100),
    ):
        path.write_bytes(data)
        with pytest.raises(FormatError, match=r"other\.nmap"):
            open_map(path)


def test_a_declared_gibibyte_is_not_allocated(tmp_path: Path) -> None:
    tensor = b'"a":{"dtype":"U8","shape":[1073741824],"data_offsets":[0,1073741824]}'
    header = b'{"__metadata__":{"nmap":"{}"},' + tensor + b"}"
    (tmp_path / "a.nmap").write_bytes(len(header).to_bytes(8, "little") + header)
    code = (
        "import sys, resource; from nmap.container import open_map; from nmap.errors import FormatError;"
        "used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: open_map(sys.argv[1])\n"
        "except FormatError as error: assert 'truncated' in str(error)\n"
        "assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used < 50_000"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.nmap")], check=True)


def test_no_reader_loads_h5py_or_torch(tmp_path: Path) -> None:
    save(sample_map(), tmp_path / "a.nmap")
    write_map(DensityMap(sample_map().as_array(), GRID), tmp_path / "a.mrc")
    code = (
        "import sys; from nmap.inspection import inspect; from nmap.validation import validate_file; import nmap\n"
        "a, source = sys.argv[1:]\n"
        "nmap.decode(a); inspect(a).to_json(); validate_file(a, source)\n"
        "assert not {'h5py', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "a.nmap", tmp_path / "a.mrc"], check=True)


def test_networks_without_hidden_layers_and_skew_cells_are_stored(tmp_path: Path) -> None:
    from phantoms import neural_map, waves

    cell = Grid((6, 8, 10), (1.0, 1.1, 1.2), angles=(80.0, 95.0, 111.6))
    made = neural_map(waves([(1, 0, 1)], [2.0], [0.5]), cell, alignment="corners")
    for hdf5 in (True, False):
        save(made, tmp_path / "a.nmap", hdf5=hdf5, overwrite=True)
        found = open_map(tmp_path / "a.nmap")
        assert found.grid == cell and found.field.alignment == "corners"
        assert (found.as_array() == made.as_array()).all()


def test_the_spec_names_every_item_of_the_record() -> None:
    text = (Path(__file__).parents[2] / "spec/record.md").read_text()
    for items in VOCABULARY.values():
        assert all(f"`{name}`" in text for name in items)


def test_decoding_bytes_equals_opening_the_file(tmp_path: Path) -> None:
    save(sample_map(), tmp_path / "a.nmap")
    assert (
        decode_bytes((tmp_path / "a.nmap").read_bytes()).as_array()
        == open_map(tmp_path / "a.nmap").as_array()
    ).all()
