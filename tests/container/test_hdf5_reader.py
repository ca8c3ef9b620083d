"""The guarded HDF5 reader: crafted files that reach outside, loop or swell are refused."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from container_samples import sample_map
from hypothesis import given
from hypothesis import strategies as st

from nmap.container import encode_bytes, open_map, read_record
from nmap.container.hdf5 import Dataset, Group, image
from nmap.container.hdf5_reader import contiguous, read_groups
from nmap.container.lookup3 import lookup3
from nmap.errors import FormatError, NmapError

SECRET = b"a local file that no .nmap file may hand out"


def dual(path: Path, edit: Callable[[h5py.File, Path], None], libver: str = "latest") -> Path:
    """A file whose JSON header and checksum are right, with an HDF5 part that h5py edited."""
    data = encode_bytes(sample_map())
    path.write_bytes(data)
    secret = path.with_name("secret.txt")
    secret.write_bytes(SECRET)
    with h5py.File(path, "r+", libver=libver) as file:
        edit(file, secret)
    grown = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    end = len(data) - start
    more = len(grown) - len(data)
    header["hdf5.1"] = {"dtype": "U8", "shape": [more], "data_offsets": [end, end + more]}
    text = json.dumps(header, separators=(",", ":")).encode()
    assert len(text) <= start - 8
    path.write_bytes(data[:8] + text.ljust(start - 8) + grown[start:])
    return path


def external_storage(file: h5py.File, secret: Path) -> None:
    external = [(str(secret), 0, len(SECRET))]
    file["source"].create_dataset("extended_header", (len(SECRET),), "u1", external=external)


def virtual(file: h5py.File, secret: Path) -> None:
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource(str(secret), "x", (4,), "u1")
    file["source"].create_virtual_dataset("extended_header", layout)


def soft_link(file: h5py.File, _: Path) -> None:
    file["source/extended_header"] = h5py.SoftLink("/weights/gains")


def external_link(file: h5py.File, secret: Path) -> None:
    file["source/extended_header"] = h5py.ExternalLink(str(secret), "/")


def variable_length(file: h5py.File, _: Path) -> None:
    file["source"].attrs["annotation_details"] = "a text of variable length"


def reference(file: h5py.File, _: Path) -> None:
    file["source"].attrs["annotation_details"] = file["weights"].ref


def many_chunks(file: h5py.File, _: Path) -> None:
    file["source"].create_dataset("extended_header", data=np.zeros(400, "u1"), chunks=(40,))


def other_filter(file: h5py.File, _: Path) -> None:
    data = np.zeros(400, "u1")
    file["source"].create_dataset("extended_header", data=data, chunks=(400,), fletcher32=True)


def linked_twice(file: h5py.File, _: Path) -> None:
    file["source/extended_header"] = file["weights"]


ATTACKS = [
    (external_storage, "external storage"),
    (virtual, "virtual"),
    (soft_link, "soft link"),
    (external_link, "external link"),
    (variable_length, "refused|version"),
    (reference, "refused|version"),
    (many_chunks, "refused"),
    (other_filter, "refused"),
    (linked_twice, "linked twice"),
]


@pytest.mark.parametrize(("edit", "message"), ATTACKS)
def test_what_could_reach_outside_is_refused(
    tmp_path: Path, edit: Callable[[h5py.File, Path], None], message: str
) -> None:
    path = dual(tmp_path / "a.nmap", edit)
    assert (open_map(path).as_array() == sample_map().as_array()).all()
    with pytest.raises(FormatError, match=message) as caught:
        read_record(path)
    assert SECRET.decode() not in str(caught.value)


def test_groups_and_datasets_in_the_old_style_are_refused(tmp_path: Path) -> None:
    def edit(file: h5py.File, _: Path) -> None:
        file["source"].create_group("inner")

    with pytest.raises(FormatError, match="no version 2 object header"):
        read_record(dual(tmp_path / "a.nmap", edit, libver="earliest"))


def tree(**items: Any) -> bytes:
    """An HDF5 image with a group `source`."""
    return image(Group({"source": Group(**items)}), 0, 0)


def test_a_cycle_is_refused() -> None:
    data = bytearray(tree(children={"loop": Group()}))
    places = [i for i in range(len(data)) if data[i : i + 5] == b"OHDR\x02"]
    root, source = places[0], places[1]
    at = data.index(b"loop") + 4
    data[at : at + 4] = root.to_bytes(4, "little")
    size = places[2] - source
    data[places[2] - 4 : places[2]] = lookup3(bytes(data[source : source + size - 4])).to_bytes(4, "little")
    with pytest.raises(FormatError, match="linked twice"):
        read_groups(bytes(data), ["source"])


def test_too_many_objects_are_refused() -> None:
    children = {f"d{i}": Dataset(np.zeros(1, np.uint8)) for i in range(300)}
    with pytest.raises(FormatError, match="too many"):
        read_groups(tree(children=children), ["source"])


def test_deflate_bombs_are_refused() -> None:
    bomb = tree(children={"extended_header": Dataset(np.zeros((1 << 24) + 1, np.uint8))})
    assert len(bomb) < 100_000
    with pytest.raises(FormatError, match="at most"):
        read_groups(bomb, ["source"])


def test_a_dataset_that_inflates_to_more_than_its_shape_is_refused() -> None:
    small, large = (tree(children={"x": Dataset(np.zeros(n, np.uint8))}) for n in (5000, 50000))
    stream = large[large.rindex(b"\x78\xda") :]
    begin = small.rindex(b"\x78\xda")
    with pytest.raises(FormatError, match=r"bytes, its shape|inflate"):
        read_groups((small[:begin] + stream)[: len(small)].ljust(len(small), b"\0"), ["source"])


def test_a_wrong_checksum_is_named() -> None:
    good = tree(attributes={"file": "a.mrc"})
    assert read_groups(good, ["source"])["source"].attributes == {"file": "a.mrc"}
    bad = good.replace(b"a.mrc", b"b.mrc")
    with pytest.raises(FormatError, match="checksum of the object header"):
        read_groups(bad, ["source"])
    with pytest.raises(FormatError, match="checksum of the superblock"):
        read_groups(good[:12] + b"\1" + good[13:], ["source"])
    with pytest.raises(FormatError, match="no HDF5 signature"):
        read_groups(bytes(100), ["source"])


def test_a_weights_group_that_points_elsewhere_is_refused(tmp_path: Path) -> None:
    def swap(file: h5py.File, _: Path) -> None:
        del file["weights/last.bias"]
        file["weights/last.bias"] = np.zeros(500, np.float32)

    path = dual(tmp_path / "a.nmap", swap)
    with pytest.raises(FormatError, match=r"/weights/last\.bias is not the tensor"):
        read_record(path)


values = st.one_of(
    st.text(st.characters(min_codepoint=1, blacklist_categories=["Cs"]), max_size=40),
    st.integers(-(1 << 62), 1 << 62),
    st.floats(allow_nan=False),
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=9).map(lambda v: np.array(v, np.float32)),
    st.lists(st.integers(0, 255), min_size=1, max_size=9).map(lambda v: np.array(v, np.uint8)),
)
names = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=12)


@given(st.dictionaries(names, values, max_size=12))
def test_attributes_come_back_from_our_reader_and_from_h5py(attributes: dict[str, Any]) -> None:
    data = tree(attributes=attributes)
    ours = read_groups(data, ["source"])["source"].attributes
    with h5py.File.in_memory(data) as file:
        theirs = dict(file["source"].attrs)
    assert set(ours) == set(theirs) == set(attributes)
    for name, value in attributes.items():
        other = theirs[name]
        if isinstance(value, str):
            assert ours[name] == value.rstrip("\0") and other.decode() == value.rstrip("\0")
        else:
            assert np.array_equal(ours[name], value) and np.array_equal(other, value)


@pytest.mark.parametrize("dtype", ["u1", "i4", "<f2", "<f4", ">f4", "<f8"])
@pytest.mark.parametrize("count", [0, 3, 70, 300, 70000])
def test_datasets_come_back_from_our_reader_and_from_h5py(dtype: str, count: int) -> None:
    expected = (np.arange(count) % 251).astype(dtype).reshape(1, -1)
    data = tree(children={"x": Dataset(expected)})
    found = read_groups(data, ["source"])["source"].children["x"]
    assert isinstance(found, Dataset) and found.values is not None
    assert np.array_equal(found.values, expected)
    with h5py.File.in_memory(data) as file:
        assert np.array_equal(file["source/x"][()], expected)


def test_contiguous_datasets_lie_where_they_say() -> None:
    weights = np.arange(6, dtype="<f4")
    head = image(Group({"w": Group({"a": Dataset(dtype="F32", shape=(2, 3))})}), 0, 24)
    placed = Group({"w": Group({"a": Dataset(dtype="F32", shape=(2, 3), address=len(head))})})
    data = image(placed, 0, 24) + weights.tobytes()
    found = read_groups(data, ["w"])["w"].children["a"]
    assert isinstance(found, Dataset)
    assert np.array_equal(contiguous(data, found), weights.reshape(2, 3))


def test_lookup3_gives_the_values_of_its_author() -> None:
    # From the driver at the end of lookup3.c: hashlittle with initial value 0.
    assert lookup3(b"") == 0xDEADBEEF
    assert lookup3(b"Four score and seven years ago") == 0x17770551


def test_flipped_bytes_never_crash_the_reader() -> None:
    data = encode_bytes(sample_map())
    body = data[8 + int.from_bytes(data[:8], "little") :]
    end = len(body) - sum(coded.nbytes for coded in sample_map().tensors.values())
    headers = [i for i in range(end) if body[i : i + 5] == b"OHDR\x02"]
    rng = random.Random(1)
    for _ in range(400):
        broken = bytearray(body)
        at = rng.randrange(headers[0] + 6, end - 8)
        broken[at] ^= 1 << rng.randrange(8)
        mend(broken, body, max(place for place in headers if place <= at))
        for strict in (True, False):
            try:
                read_groups(bytes(broken), ("weights", "source", "fit", "fidelity"), strict)
            except NmapError as error:
                assert "\n" not in str(error)


def mend(broken: bytearray, good: bytes, at: int) -> None:
    """Set the checksum of the object header at a place right, so that what lies behind it is reached."""
    begin = at + 6 + (4 if good[at + 5] & 16 else 0)
    width = 1 << (good[at + 5] & 3)
    size = int.from_bytes(good[begin : begin + width], "little") + begin - at + width
    broken[at + size : at + size + 4] = lookup3(bytes(broken[at : at + size])).to_bytes(4, "little")
