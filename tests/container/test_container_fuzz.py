"""Damaged and hostile files end in an NmapError, and take no more memory than the limits allow."""

from __future__ import annotations

import contextlib
import copy
import json
import resource
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from container_samples import sample_map
from hypothesis import given, settings
from hypothesis import strategies as st
from spec_modules import load

from nmap.container import decode_bytes, encode_bytes
from nmap.errors import NmapError, OptionError
from nmap.inspection import Inspection

DUAL = encode_bytes(sample_map())
PLAIN = encode_bytes(sample_map(), hdf5=False)
FORGE = load("conformance_invalid")
HEADER, METADATA, BUFFER = FORGE.split(PLAIN)
RECORD = json.loads(zlib.decompress(BUFFER[slice(*HEADER["record"]["data_offsets"])]))

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module", autouse=True)
def unicode_tables() -> None:
    """Hypothesis makes its tables of characters, 200 MB, at the first text in a fresh checkout: not in a test."""

    @given(st.text(min_size=1))
    @settings(max_examples=1, database=None)
    def draw(_: str) -> None:
        pass

    draw()


@pytest.fixture(autouse=True)
def bounded_memory() -> Iterator[None]:
    """These files are small: decoding what they declare, within the limits, takes little."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def attempt(data: bytes) -> bool:
    """Whether a file opens; any error but an NmapError fails the test."""
    try:
        decode_bytes(data)
    except NmapError as error:
        assert "\n" not in str(error) and len(str(error)) < 500
        return False
    return True


@given(st.lists(st.tuples(st.integers(0, len(DUAL) - 1), st.integers(1, 255)), min_size=1, max_size=4))
@settings(max_examples=150)
def test_flipped_bytes_are_refused_or_lie_in_the_hdf5_part_or_the_record(
    flips: list[tuple[int, int]],
) -> None:
    data = bytearray(DUAL)
    for at, mask in flips:
        data[at] ^= mask
    start = 8 + int.from_bytes(DUAL[:8], "little")
    header = json.loads(DUAL[8:start])
    free = [header[name]["data_offsets"] for name in ("hdf5.0", "record")]
    if attempt(bytes(data)):
        outside = [at for at, _ in flips if not any(a <= at - start < b for a, b in free)]
        assert all(data[at] == DUAL[at] or at < start for at in outside)


@given(st.integers(0, len(DUAL) - 1))
@settings(max_examples=60)
def test_a_file_cut_anywhere_is_refused(length: int) -> None:
    assert not attempt(DUAL[:length])


@given(st.binary(max_size=300))
@settings(max_examples=100)
def test_noise_is_refused(noise: bytes) -> None:
    assert not attempt(noise)
    assert not attempt(len(noise).to_bytes(8, "little") + noise)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of everything in a JSON value."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from leaves(value[key], (*path, key))


@given(st.sampled_from([p for p in leaves(METADATA) if p and p != ("sha256",)]), anything)
@settings(max_examples=200)
def test_any_value_anywhere_in_the_metadata_is_read_or_refused(path: tuple[Any, ...], value: Any) -> None:
    metadata = copy.deepcopy(METADATA)
    place = metadata
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    attempt(FORGE.signed(HEADER, metadata, BUFFER))


@given(st.sampled_from([p for p in leaves(HEADER) if p]), anything)
@settings(max_examples=200)
def test_any_value_anywhere_in_the_json_header_is_read_or_refused(path: tuple[Any, ...], value: Any) -> None:
    header = copy.deepcopy(HEADER)
    place = header
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    attempt(FORGE.wrap(FORGE.dump({"__metadata__": {"nmap": FORGE.dump(METADATA)}, **header}), BUFFER))


@given(st.sampled_from([p for p in leaves(RECORD) if p]), anything)
@settings(max_examples=200)
def test_any_value_anywhere_in_the_record_leaves_the_map_as_it_is(path: tuple[Any, ...], value: Any) -> None:
    record = copy.deepcopy(RECORD)
    place = record
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    stream = zlib.compress(json.dumps(record).encode())
    begin, end = HEADER["record"]["data_offsets"]
    assert end == len(BUFFER)
    entry = {"dtype": "U8", "shape": [len(stream)], "data_offsets": [begin, begin + len(stream)]}
    data = FORGE.signed({**HEADER, "record": entry}, METADATA, BUFFER[:begin] + stream)
    found = decode_bytes(data)
    Inspection("a", found, {"total": len(data)}, found.record).to_json()
    with contextlib.suppress(OptionError):  # a text beyond the largest MRC header, say
        assert decode_bytes(encode_bytes(found, hdf5=False)).tensors.keys() == found.tensors.keys()
