"""Whatever is saved opens again as it was: every kind of network, awkward numbers, names and records."""

from __future__ import annotations

import math
import os
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from safetensors import safe_open

from examples import few
from nmap.container import open_map, save
from nmap.container.header import from_text, to_text
from nmap.container.layout import read_layout
from nmap.container.record import pack, unpack
from nmap.errors import OptionError
from nmap.neural_map import NeuralMap

VALID = sorted((Path(__file__).parents[2] / "spec" / "conformance" / "valid").glob("*.nmap"))
# "." and ".." are folders: see test_a_folder_is_no_output_with_overwrite_or_without.
NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40
).filter(lambda name: name not in (".", ".."))
TEXT = st.text(max_size=30)
SCALARS = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | TEXT
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abcxyz_.é", min_size=1), inner, max_size=4)
    ),
    max_leaves=12,
)
RECORDS = st.dictionaries(
    st.sampled_from(["mine", "fit", "source", "other group"]),
    st.dictionaries(st.sampled_from(["a", "b c", "$".join("xy"), "ü"]), VALUES, max_size=4),
    max_size=3,
)


@cache
def opened(path: Path) -> NeuralMap:
    return open_map(path)


def one_map(path: Path) -> NeuralMap:
    """The map of a file; of a series one between two of its maps."""
    made = opened(path)
    return made if made.axis is None else made.at(0.3)


def as_kept(value: Any) -> Any:
    """What the record's page says that becomes of a value: six digits, null for what is not finite."""
    if isinstance(value, bool) or value is None or isinstance(value, int | str):
        return value
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, list):
        return [as_kept(item) for item in value]
    return {name: as_kept(item) for name, item in value.items()}


@few(25)
@given(RECORDS)
def test_a_record_opens_as_it_was_packed(record: dict[str, dict[str, Any]]) -> None:
    again, faults = unpack(pack(record))
    assert not faults
    for group, items in record.items():
        kept = {name: as_kept(value) for name, value in items.items() if as_kept(value) is not None}
        assert again.get(group, {}) == kept


@few(30)
@given(
    st.sampled_from(VALID),
    st.floats(-(2.0**99), 2.0**99, width=32),
    st.floats(2.0**-99, 2.0**99, width=32),
    RECORDS,
    NAMES,
    st.booleans(),
)
def test_what_is_saved_opens_and_safetensors_reads_it(
    path: Path, offset: float, scale: float, record: dict[str, dict[str, Any]], name: str, hdf5: bool
) -> None:
    made = opened(path)
    frame = replace(made.field.frame, offset=float(offset), scale=float(scale))
    network = made.field.network
    changed = NeuralMap.from_tensors(network.kind, network.settings(), made.tensors, frame, record)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / os.fsdecode(name.encode()[:200].decode("utf-8", "ignore").encode())
        if out.name in (".", "..") or not out.name:
            return
        written = save(changed, out, hdf5=hdf5)
        again = open_map(out)
        assert out.stat().st_size == written
        with open(out, "rb") as file:
            layout, _ = read_layout(file)
        with safe_open(out, framework="numpy") as theirs:
            assert set(theirs.keys()) == set(layout.entries)
    assert layout.has_hdf5 == hdf5
    assert (again.field.frame, again.field.network.kind) == (frame, network.kind)
    assert again.field.network.settings() == network.settings()
    assert set(again.tensors) == set(made.tensors)
    for key, coded in made.tensors.items():
        for suffix, array in coded.arrays.items():
            assert_array_equal(again.tensors[key].arrays[suffix], array)
    assert to_text(from_text(layout.metadata)) == layout.metadata


def test_a_record_beyond_the_limits_is_refused_when_it_is_written() -> None:
    made = opened(VALID[0])
    frame, network = made.field.frame, made.field.network
    record = {"mine": {"a": [0] * 70_000}}
    changed = NeuralMap.from_tensors(network.kind, network.settings(), made.tensors, frame, record)
    with tempfile.TemporaryDirectory() as folder:
        try:
            save(changed, Path(folder) / "a.nmap")
        except OptionError as error:
            assert "commas" in str(error)
        assert not list(Path(folder).iterdir())


@st.composite
def regions(draw: st.DrawFn) -> tuple[Path, tuple[int, ...], tuple[int, ...]]:
    """A conformance file, and a region of its own grid that reaches up to 3 voxels beyond."""
    path = draw(st.sampled_from(VALID))
    shape = opened(path).grid.shape
    start = [draw(st.integers(-3, n - 1)) for n in shape]
    size = [draw(st.integers(max(1, 1 - s), n - s + 3)) for n, s in zip(shape, start, strict=True)]
    return path, tuple(start), tuple(size)


@few(30)
@given(regions())
def test_a_region_is_the_crop_of_the_whole_for_every_kind(region: Any) -> None:
    path, start, size = region
    made = one_map(path)
    whole = whole_of(path)
    inside = [slice(max(s, 0), min(s + n, m)) for s, n, m in zip(start, size, whole.shape, strict=True)]
    part = made.on_grid(made.grid.region(start, size))
    there = tuple(slice(i.start - s, i.stop - s) for i, s in zip(inside, start, strict=True))
    assert_allclose(
        part[there], whole[tuple(inside)], atol=1e-5 * max(float(np.ptp(whole)), 1e-30), rtol=1e-5
    )
    outside = np.ones(part.shape, bool)
    outside[there] = False
    assert_allclose(part[outside], made.field.frame.offset, rtol=1e-6, atol=1e-30)


@cache
def whole_of(path: Path) -> Any:
    return one_map(path).as_array()
