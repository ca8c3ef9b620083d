"""One header field broken at a time: the map reads right, or is refused in one line that says why."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mrc_files import mrc_bytes
from mrcfile.dtypes import HEADER_DTYPE

from nmap.errors import MapError, NmapError, NonFiniteError, VoxelSizeError
from nmap.maps import DensityMap, read_map

NAN, INF = float("nan"), float("inf")
MOST = 2**31 - 1


@pytest.fixture
def broken(data_dir: Path, tmp_path: Path) -> Callable[..., Path]:
    """EMD-3197 (20^3, 11.4 A, NSTART -2 0 0) with other header fields, or other bytes at an offset."""

    def write(fields: dict[str, Any] | None = None, at: int = 0, raw: bytes = b"") -> Path:
        content = bytearray((data_dir / "EMD-3197.map").read_bytes())
        header = np.frombuffer(content[:1024], HEADER_DTYPE).reshape(()).copy()
        for name, value in (fields or {}).items():
            header[name] = value
        content[:1024] = header.tobytes()
        content[at : at + len(raw)] = raw
        path = tmp_path / "broken.mrc"
        path.write_bytes(content)
        return path

    return write


REFUSED: list[tuple[str, dict[str, Any], type[MapError], str]] = [
    ("no columns", {"nx": 0}, MapError, "0 x 20 x 20"),
    ("negative columns", {"nx": -20}, MapError, "-20 x 20 x 20"),
    ("too few columns", {"nx": 19}, MapError, "its counts or mode are wrong"),
    ("too many columns", {"nx": 21}, MapError, "holds 33024 bytes, its header declares 34624"),
    ("absurd columns", {"nx": MOST}, MapError, "wanted 1 to 65535"),
    ("no rows", {"ny": 0}, MapError, "20 x 0 x 20"),
    ("too few rows", {"ny": 19}, MapError, "its counts or mode are wrong"),
    ("more than any file holds", {"nx": 65535, "ny": 65535, "nz": 65535}, MapError, "holds 33024 bytes"),
    ("one section", {"nz": 1}, MapError, "its counts or mode are wrong"),
    ("too few sections", {"nz": 19}, MapError, "its counts or mode are wrong"),
    ("too many sections", {"nz": 21}, MapError, "truncated"),
    ("mode 0", {"mode": 0}, MapError, "its counts or mode are wrong"),
    ("mode 1", {"mode": 1}, MapError, "its counts or mode are wrong"),
    ("mode 3", {"mode": 3}, MapError, "mode 3: complex"),
    ("mode 4", {"mode": 4}, MapError, "mode 4: complex"),
    ("mode 5", {"mode": 5}, MapError, "mode 5: no data type"),
    ("mode 16", {"mode": 16}, MapError, "mode 16: RGB"),
    ("mode 101", {"mode": 101}, MapError, "mode 101: 4-bit"),
    ("negative mode", {"mode": -1}, MapError, "mode -1"),
    ("absurd start", {"nxstart": MOST}, MapError, r"NSTART \(2147483647, 0, 0\)"),
    ("no sampling", {"mx": 0}, VoxelSizeError, r"sampling \(0, 20, 20\)"),
    ("negative sampling", {"mz": -20}, VoxelSizeError, r"sampling \(20, 20, -20\)"),
    ("no cell", {"cella": (0, 0, 0)}, VoxelSizeError, r"cell \(0, 0, 0\)"),
    ("integer left in the cell", {"cella": (228, 7e-45, 228)}, VoxelSizeError, r"cell \(228, 7\.0"),
    ("negative cell", {"cella": (228, -228, 228)}, VoxelSizeError, "-228"),
    ("NaN cell", {"cella": (NAN, 228, 228)}, VoxelSizeError, "nan"),
    ("infinite cell", {"cella": (228, 228, INF)}, VoxelSizeError, "inf"),
    ("one zero angle", {"cellb": (0, 90, 90)}, MapError, "no such cell"),
    ("NaN angle", {"cellb": (90, NAN, 90)}, MapError, "no such cell"),
    ("flat cell", {"cellb": (90, 90, 180)}, MapError, "no such cell"),
    ("impossible cell", {"cellb": (30, 30, 120)}, MapError, "no such cell"),
    ("axis 4", {"maps": 4}, MapError, r"MAPC MAPR MAPS \(1, 2, 4\)"),
    ("one axis unset", {"mapc": 0}, MapError, r"MAPC MAPR MAPS \(0, 2, 3\)"),
    ("axis twice", {"mapr": 1}, MapError, r"MAPC MAPR MAPS \(1, 1, 3\)"),
    ("volume stack", {"ispg": 401}, MapError, "stack of volumes"),
    ("image stack", {"ispg": 0, "mz": 1}, MapError, "stack of 20 images"),
    ("negative space group", {"ispg": -1}, MapError, "ISPG -1"),
    ("negative extended header", {"nsymbt": -1}, MapError, "extended header of -1 bytes"),
    ("extended header that is not there", {"nsymbt": 80}, MapError, "holds 33024 bytes"),
    ("absurd extended header", {"nsymbt": MOST}, MapError, "holds 33024 bytes"),
    ("NaN origin", {"origin": (NAN, 0, 0)}, MapError, "ORIGIN.*finite"),
    ("absurd origin", {"origin": (1e30, 0, 0)}, MapError, "voxels from zero"),
    ("another file type", {"map": b"PAM "}, MapError, "not an MRC or CCP4 map"),
]


@pytest.mark.parametrize(
    ("fields", "error", "reason"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_field_that_cannot_be_is_named(
    broken: Callable[..., Path], fields: dict[str, Any], error: type[MapError], reason: str
) -> None:
    path = broken(fields)
    with pytest.raises(error, match=reason) as raised:
        read_map(path)
    assert str(raised.value).startswith(f"{path}: ") and "\n" not in str(raised.value)


READ: list[tuple[str, dict[str, Any]]] = [
    ("map id without its blank", {"map": b"MAP\0"}),
    ("statistics that are NaN", {"dmin": NAN, "dmax": NAN, "dmean": NAN, "rms": NAN}),
    ("statistics that are wrong", {"dmin": 7, "dmax": -7, "dmean": 1e30, "rms": -1}),
    ("big-endian stamp on little-endian data", {"machst": (0x11, 0x11, 0, 0)}),
    ("no stamp", {"machst": (0, 0, 0, 0)}),
    ("axes unset", {"mapc": 0, "mapr": 0, "maps": 0}),
    ("angles unset", {"cellb": (0, 0, 0)}),
    ("ISPG 0", {"ispg": 0}),
    ("space group of a non-standard setting", {"ispg": 1018}),
    ("unknown version", {"nversion": -77}),
    ("unknown extended header type", {"exttyp": b"\xff\xfe?!"}),
    ("integer left in ORIGIN", {"origin": (7e-45, 0, 0)}),
    ("negative label count", {"nlabl": -3}),
    ("absurd label count", {"nlabl": MOST}),
]


@pytest.mark.parametrize("fields", [case[1] for case in READ], ids=[case[0] for case in READ])
def test_a_field_that_says_nothing_of_values_or_place_harms_neither(
    broken: Callable[..., Path], data_dir: Path, fields: dict[str, Any]
) -> None:
    intact, density = read_map(data_dir / "EMD-3197.map"), read_map(broken(fields))
    np.testing.assert_array_equal(density.values, intact.values)
    assert density.grid == intact.grid
    assert density.header is not None and density.header.labels == ("::::EMDATABANK.org::::EMD-3197::::",)


def test_sampling_other_than_the_counts_changes_the_voxel_size_only(broken: Callable[..., Path]) -> None:
    grid = read_map(broken({"mx": 40, "nxstart": 0})).grid
    assert grid.shape == (20, 20, 20)
    np.testing.assert_allclose(grid.voxel_size, (5.7, 11.4, 11.4), rtol=1e-6)


def test_labels_lose_what_cannot_be_printed(broken: Callable[..., Path]) -> None:
    labels = [b"two\nlines \x07\xe9", b"", b"ends\0here", *[b" "] * 6, b"beyond NLABL"]
    header = read_map(broken({"label": labels, "nlabl": 9})).header
    assert header is not None and header.labels == ("twolines", "ends")


ROTATED = struct.pack("<i12f", 1, 0, -1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0)
SHIFTED = struct.pack("<i12f", 1, 1, 0, 0, 0, 1, 0, 0, 0, 1, 5, 0, 0)
NEUTRAL = struct.pack("<i12f", 1, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0)
SIGNALLING = struct.pack("<13I", 1, *[0x7F800001] * 12)
NOT_SKEW = struct.pack("<i12f", 1, *[0.0] * 6, NAN, *[0.0] * 5)


@pytest.mark.parametrize("words", [ROTATED, SHIFTED], ids=["rotated", "shifted"])
def test_a_map_in_another_frame_is_refused(broken: Callable[..., Path], words: bytes) -> None:
    with pytest.raises(MapError, match="skewed CCP4 map"):
        read_map(broken(at=96, raw=words))


@pytest.mark.parametrize("words", [NEUTRAL, NOT_SKEW, SIGNALLING], ids=["neutral", "NaN", "signalling NaN"])
def test_a_skew_that_turns_nothing_is_ignored(broken: Callable[..., Path], words: bytes) -> None:
    assert read_map(broken(at=96, raw=words)).grid.shape == (20, 20, 20)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "fuzzed.mrc"


WORDS = st.sampled_from([0, 1, 2, 3, 4, 6, 12, 401, -1, 65535, MOST, -MOST - 1, 0x7FC00000, 0x7F800000])
EDITS = st.one_of(
    st.tuples(st.integers(0, 255).map(lambda word: 4 * word), WORDS.map(lambda v: struct.pack("<i", v))),
    st.tuples(st.integers(0, 220), st.binary(min_size=1, max_size=8)),
)


@settings(max_examples=200, derandomize=True)
@given(edits=st.lists(EDITS, min_size=1, max_size=4))
@example(edits=[(208, b"MAP "), (212, b"\x11\x11")])
def test_no_header_bytes_do_other_than_read_or_be_refused_in_one_line(
    fuzzed: Path, edits: list[tuple[int, bytes]]
) -> None:
    content = bytearray(mrc_bytes(np.arange(120, dtype=np.float32).reshape(4, 5, 6)))
    for offset, new in edits:
        content[offset : offset + len(new)] = new
    fuzzed.write_bytes(content)
    try:
        density = read_map(fuzzed)
    except NmapError as error:
        assert isinstance(error, MapError) and "\n" not in str(error) and len(str(error)) < 300
        return
    assert isinstance(density, DensityMap) and min(density.grid.shape) > 1
    assert np.isfinite(density.values).all() and np.isfinite(density.grid.origin).all()


@settings(max_examples=50, derandomize=True)
@given(data=st.binary(min_size=48, max_size=48), mode=st.sampled_from([1, 2, 6, 12]))
def test_any_data_bytes_are_finite_values_or_refused_with_a_count(
    fuzzed: Path, data: bytes, mode: int
) -> None:
    dtype = {1: "<i2", 2: "<f4", 6: "<u2", 12: "<f2"}[mode]
    values = np.frombuffer(data, dtype).reshape(2, 2, -1)
    fuzzed.write_bytes(mrc_bytes(values))
    bad = int((~np.isfinite(values)).sum())
    if bad:
        with pytest.raises(NonFiniteError, match=f"{bad} of {values.size}|all {bad}"):
            read_map(fuzzed)
    else:
        np.testing.assert_array_equal(read_map(fuzzed).values, values)
