"""What lies around the header: compression, length, memory, damage."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import os
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mrc_files import mrc_bytes

from nmap.errors import LimitError, MapError, MapWarning
from nmap.maps import read_map

DATA = np.arange(8 * 9 * 10, dtype=np.float32).reshape(8, 9, 10)
MB = 1 << 20

BOMB_SCRIPT = """
import re, sys
from pathlib import Path
from nmap.errors import MapError
from nmap.maps import read_map

def peak():  # of this process alone: ru_maxrss is handed down from the parent
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

before = peak()
try:
    read_map(sys.argv[1])
except MapError as error:
    print(error)
print(peak() - before)
"""


@pytest.mark.parametrize("suffix", [".map", ".mrc", ".ccp4", ".map.gz", ".map.bz2", ".weird"])
@pytest.mark.parametrize(
    ("pack", "compression"), [(bytes, ""), (gzip.compress, "gzip"), (bz2.compress, "bzip2")]
)
def test_compression_is_told_from_the_bytes_not_the_name(
    tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes], compression: str
) -> None:
    packed = pack(mrc_bytes(DATA))
    path = tmp_path / f"map{suffix}"
    path.write_bytes(packed)
    density = read_map(path)
    np.testing.assert_array_equal(density.values, DATA)
    assert density.header is not None and density.header.compression == compression
    assert density.header.sha256 == hashlib.sha256(packed).hexdigest()
    assert density.header.file_bytes == len(packed)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_several_compressed_members_are_one_map(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    content = mrc_bytes(DATA)
    (tmp_path / "map.mrc").write_bytes(pack(content[:1500]) + pack(content[1500:]))
    np.testing.assert_array_equal(read_map(tmp_path / "map.mrc").values, DATA)


def damaged(packed: bytes) -> bytes:
    middle = len(packed) // 2
    return packed[:middle] + bytes([packed[middle] ^ 0x55]) + packed[middle + 1 :]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
@pytest.mark.parametrize(
    "harm", [damaged, lambda p: p[:-200], lambda p: p[:12], lambda p: p[:-6] + b"123456"]
)
def test_damaged_compression_is_one_line(
    tmp_path: Path, pack: Callable[[bytes], bytes], harm: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "map.mrc"
    path.write_bytes(harm(pack(mrc_bytes(np.random.default_rng(1).normal(size=(8, 9, 10)).astype("f4")))))
    with pytest.raises(MapError, match=r"map\.mrc: (damaged|no 'MAP ')") as raised:
        read_map(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an empty file"),
        (b"MAP ", "4 bytes, an MRC header alone has 1024"),
        (b"ATOM      1  N   MET A   1 " * 60, "not an MRC or CCP4 map"),
        (gzip.compress(b"", mtime=0), "an empty file"),
        (mrc_bytes(DATA)[:-1], "holds 3903 bytes, its header declares 3904: truncated"),
        (gzip.compress(mrc_bytes(DATA)[:-1]), "holds 3903 bytes, its header declares 3904: truncated"),
        (mrc_bytes(DATA, extended=b"x" * 80)[:1050], "holds 1050 bytes"),
    ],
)
def test_what_is_no_whole_map_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "map.mrc"
    path.write_bytes(content)
    with pytest.raises(MapError, match=reason):
        read_map(path)


def test_folders_and_pipes_are_refused_and_missing_files_are_missing(tmp_path: Path) -> None:
    with pytest.raises(MapError, match="is a folder"):
        read_map(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MapError, match="not a regular file"):
        read_map(tmp_path / "pipe")
    with pytest.raises(FileNotFoundError):
        read_map(tmp_path / "absent.mrc")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_padding_after_the_data_is_accepted_and_a_section_too_many_is_not(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "map.mrc"
    face = 4 * 8 * 9  # the smallest one, so that no count can be off by one
    path.write_bytes(pack(mrc_bytes(DATA) + bytes(face - 1)))
    with pytest.warns(
        MapWarning, match=f"{face - 1} bytes more than its header declares, all zero: .*padding"
    ):
        density = read_map(path)
    np.testing.assert_array_equal(density.values, DATA)
    path.write_bytes(pack(mrc_bytes(DATA) + bytes(face)))
    with pytest.raises(MapError, match="its counts or mode are wrong"):
        read_map(path)


def test_more_than_allowed_is_refused_and_exactly_as_much_is_not(tmp_path: Path) -> None:
    path = tmp_path / "map.mrc"
    path.write_bytes(mrc_bytes(DATA.astype("i1"), extended=b"x" * 100))
    needed = 4 * DATA.size + 100
    assert read_map(path, max_memory=needed).values.size == DATA.size
    with pytest.raises(LimitError, match=f"needs {needed} bytes of memory, {needed - 1} are allowed"):
        read_map(path, max_memory=needed - 1)


def peak_of(work: Callable[[], object]) -> int:
    """Most bytes of memory taken while `work` ran."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("axes", [(1, 2, 3), (3, 2, 1)])
@pytest.mark.parametrize("dtype", ["f4", "i1"])
def test_reading_a_compressed_map_takes_its_values_and_little_more(
    tmp_path: Path, axes: tuple[int, int, int], dtype: str
) -> None:
    shape = (160, 200, 240)
    path = tmp_path / "map.map.gz"
    path.write_bytes(gzip.compress(mrc_bytes(np.zeros(shape, dtype), axes=axes), 1))
    assert peak_of(lambda: read_map(path)) < 4 * np.prod(shape) + 40 * MB


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_nothing_is_allocated_for_a_header_that_declares_more_than_is_there(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "map.mrc"
    header = mrc_bytes(np.zeros((2, 2, 2), np.float32), nx=2000, ny=2000, nz=2000)
    path.write_bytes(pack(header))

    def refused() -> None:
        with pytest.raises(MapError, match=r"declares 32000001024: truncated"):
            read_map(path)

    assert peak_of(refused) < 20 * MB


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_a_gzip_bomb_behind_a_small_header_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.map.gz"
    packer = zlib.compressobj(1, wbits=31)
    with path.open("wb") as file:
        file.write(packer.compress(mrc_bytes(DATA)))
        for _ in range(256):
            file.write(packer.compress(bytes(MB)))
        file.write(packer.flush())
    done = subprocess.run(
        [sys.executable, "-c", BOMB_SCRIPT, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    message, kilobytes = done.stdout.splitlines()
    assert message.startswith(f"{path}: holds more bytes, its header declares 3904")
    assert int(kilobytes) < 50 * 1024
