"""Large arrays that rest in a temporary file: the same values, not in memory until they are looked at."""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from phantoms import phantom

from nmap.fit.encode import encode
from nmap.fit.options import EncodeOptions
from nmap.machine import parked
from nmap.machine.memory import give_back
from nmap.machine.parked import park
from nmap.maps import DensityMap, write_map

SMAPS = Path("/proc/self/smaps")


@pytest.fixture(autouse=True)
def _parks_all(monkeypatch):
    monkeypatch.setattr(parked, "_LEAST", 1)


def resident(values: np.ndarray) -> int:
    """Bytes of an array's mapping that are in memory, as the kernel counts them."""
    address = values.__array_interface__["data"][0]
    for entry in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", SMAPS.read_text())[1:]:
        low, high = (int(end, 16) for end in entry.split()[0].split("-"))
        if low <= address < high:
            return 1024 * int(re.search(r"(?m)^Rss: +(\d+)", entry)[1])
    raise AssertionError("no mapping holds the array")


def test_a_parked_array_has_its_values_and_cannot_be_written():
    values = np.random.default_rng(0).standard_normal((6, 7, 8)).astype(np.float32)
    there = park(values)
    np.testing.assert_array_equal(there, values)
    assert there.shape == values.shape
    assert not there.flags.writeable


def test_small_arrays_stay_where_they_are(monkeypatch):
    monkeypatch.setattr(parked, "_LEAST", 1 << 28)
    values = np.ones((4, 4, 4), np.float32)
    assert park(values) is values


def test_an_array_stays_where_it_is_if_there_is_no_room_for_a_file(monkeypatch):
    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    values = np.ones((4, 4, 4), np.float32)
    assert park(values) is values


@pytest.mark.skipif(not SMAPS.exists(), reason="the system does not tell what is in memory")
def test_memory_holds_a_parked_array_only_while_it_is_looked_at():
    values = park(np.ones((64, 128, 128), np.float32))
    assert float(values.sum()) == values.size
    assert resident(values) == values.nbytes
    give_back()
    assert resident(values) == 0
    assert float(values.sum()) == values.size


def test_a_map_that_is_parked_gives_the_same_network(tmp_path, monkeypatch):
    density = phantom(24, 2.0, 6.0).clean
    write_map(density, tmp_path / "map.mrc")
    options = EncodeOptions(arch="radial-basis", target_fsc=0.8, resolution=6.0, effort="low")
    from_file = encode(tmp_path / "map.mrc", options)
    monkeypatch.setattr(parked, "_LEAST", 1 << 28)
    from_memory = encode(DensityMap(density.values, density.grid), options)
    for name, coded in from_memory.tensors.items():
        for suffix, array in coded.arrays.items():
            np.testing.assert_array_equal(from_file.tensors[name].arrays[suffix], array)


def test_threads_park_arrays_while_others_give_memory_back():
    ends, failed, interval = time.monotonic() + 1.0, [], sys.getswitchinterval()

    def repeat(work) -> None:
        while time.monotonic() < ends and not failed:
            try:
                work()
            except Exception as error:
                failed.append(error)

    works = [lambda: [park(np.ones((2, 2, 2), np.float32)) for _ in range(5)], give_back]
    sys.setswitchinterval(1e-6)
    try:
        threads = [Thread(target=repeat, args=(work,)) for work in 2 * works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not failed
