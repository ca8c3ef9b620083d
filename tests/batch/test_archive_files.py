"""One file of a zip archive, on disk or by ranges over http; archives that lie."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cli_files import run

import nmap
from nmap.batch.pack import pack
from nmap.errors import MissingFileError, NmapError
from nmap.machine.archive import RangeFile, member_of, names, open_input, read_input

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "spec" / "conformance" / "valid" / "radial-basis.nmap"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Two maps, and a megabyte that nobody asks for between them."""
    filler = tmp_path / "filler"
    filler.write_bytes(bytes(1 << 20))
    path = tmp_path / "maps.zip"
    pack([("a", EXAMPLE, {}), ("filler", filler, {}), ("b/c", EXAMPLE, {})], path)
    return path


@contextmanager
def served(path: Path, ranges: bool = True) -> Iterator[tuple[str, list[int]]]:
    """The address of a file on this machine, and how many bytes each answer had."""
    sent: list[int] = []
    whole = path.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            first, last = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers["Range"]).groups()  # type: ignore[union-attr]
            start, end = (
                (int(first), int(last) + 1) if first else (max(len(whole) - int(last), 0), len(whole))
            )
            data = whole[start:end] if ranges else whole
            self.send_response(206 if ranges else 200)
            if ranges:
                self.send_header("Content-Range", f"bytes {start}-{start + len(data) - 1}/{len(whole)}")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            sent.append(len(data))
            self.wfile.write(data)

        def log_message(self, format: str, *arguments: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{path.name}", sent
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_file_of_an_archive_is_opened_by_its_name_with_or_without_its_ending(archive: Path) -> None:
    assert names(archive) == ["a", "b/c", "filler"]
    assert read_input(f"{archive}::b/c") == read_input(f"{archive}::b/c.nmap") == EXAMPLE.read_bytes()
    assert nmap.inspect(f"{archive}::a").file == "a.nmap"


def test_a_file_that_is_called_so_is_itself(tmp_path: Path) -> None:
    odd = tmp_path / "a::b.nmap"
    odd.write_bytes(EXAMPLE.read_bytes())
    assert member_of(odd) is None
    assert nmap.open(odd).grid == nmap.open(EXAMPLE).grid


def test_one_map_comes_over_http_without_the_rest(archive: Path, tmp_path: Path) -> None:
    with served(archive) as (address, sent):
        assert run("decode", f"{address}::a", "-o", tmp_path / "a.mrc").code == 0
        assert len(sent) <= 3
        assert sum(sent) < 300_000 < archive.stat().st_size
    with open_input(EXAMPLE) as file:
        wanted = nmap.decode(EXAMPLE)
        assert file.read() == EXAMPLE.read_bytes()
    assert (nmap.read_map(tmp_path / "a.mrc").values == wanted.values).all()


SCRIPT = """
import { fetchMap } from "READER";
const [address, ...names] = process.argv.slice(2);
for (const name of names) {
  const hex = (data) => Buffer.from(data).toString("hex");
  const found = await fetchMap(address, name).then(hex, (error) => error.message);
  console.log(found);
}
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
def test_the_javascript_reader_fetches_the_same_bytes_of_archives_small_and_beyond_zip_s_first_limits(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "script.mjs"
    script.write_text(SCRIPT.replace("READER", (ROOT / "viewer" / "archive.js").as_uri()))
    large = tmp_path / "large.zip"
    monkeypatch.setattr(
        zipfile, "ZIP_FILECOUNT_LIMIT", 2
    )  # as beyond 65 535 files, and so the directory's place
    with zipfile.ZipFile(large, "w") as out:
        for number in range(4):
            out.writestr(f"{number}.nmap", str(number))
    assert b"PK\x06\x06" in large.read_bytes()
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("a.nmap", bytes(1000))

    def fetched(path: Path, *asked: str) -> list[str]:
        with served(path) as (address, sent):
            ran = subprocess.run(
                ["node", str(script), address, *asked], capture_output=True, text=True, check=True
            )
        assert sum(sent) < 300_000
        return ran.stdout.splitlines()

    assert fetched(archive, "b/c", "a.nmap") == 2 * [EXAMPLE.read_bytes().hex()]
    assert "has no" in fetched(archive, "z")[0]
    assert fetched(large, "0", "3") == [b"0".hex(), b"3".hex()]
    assert read_input(f"{large}::3") == b"3"
    assert "is packed" in fetched(packed, "a")[0]


def test_a_server_without_ranges_and_an_address_that_is_none_are_refused(archive: Path) -> None:
    with served(archive, ranges=False) as (address, _), pytest.raises(NmapError, match="gives no ranges"):
        RangeFile(address)
    with pytest.raises(NmapError, match="cannot be fetched"):
        RangeFile(address)


def test_what_is_no_archive_or_not_in_it_is_named(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(NmapError, match="is no zip archive"):
        read_input(f"{EXAMPLE}::a")
    with pytest.raises(MissingFileError, match=r"has no 'z' among its 4 files"):
        read_input(f"{archive}::z")
    with pytest.raises(MissingFileError, match="no such file"):
        read_input(tmp_path / "none.zip::a")


def test_a_packed_member_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("a.nmap", bytes(1 << 24))
    with pytest.raises(NmapError, match="is packed or encrypted"):
        read_input(f"{bomb}::a")


def test_a_damaged_member_is_told_by_its_checksum(archive: Path) -> None:
    data = bytearray(archive.read_bytes())
    data[200] ^= 1
    archive.write_bytes(data)
    with pytest.raises(NmapError, match=r"::a: damaged"):
        read_input(f"{archive}::a")
