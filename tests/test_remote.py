"""Files at a URL and in the EMDB archive: every verb takes them, and no server gets more than it should."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import mrcfile
import numpy as np
import pytest
from cli_files import run
from mrc_files import mrc_bytes
from phantoms import gaussian_atoms
from web import Answer, Site, serving

import nmap
from nmap import remote
from nmap.container import open_file
from nmap.errors import LimitError, MissingFileError, MissingPackageError, RemoteError
from nmap.grid import Grid
from nmap.remote import RemoteFile

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "spec" / "conformance" / "valid" / "radial-basis.nmap"
FILE = EXAMPLE.read_bytes()
GRID = Grid((16, 16, 16), (2.0, 2.0, 2.0))
BLOB = gaussian_atoms(GRID, np.array([[14.0, 16.0, 18.0]]), 3.0).astype(np.float32)
ENTRY = "/structures/EMD-3197/map/emd_3197.map.gz"
PACKED = gzip.compress(mrc_bytes(BLOB, cella=(32.0, 32.0, 32.0)), mtime=0)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    """A server with one of our files and an archive laid out as EMDB's; what is fetched lies in a folder of its own."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "fetched"))
    (tmp_path / "fetched").mkdir()
    with serving({"/a.nmap": Answer(FILE), ENTRY: Answer(PACKED)}) as running:
        monkeypatch.setenv("NMAP_EMDB_URL", f"{running.address}/structures/")
        yield running


def test_open_inspect_and_decode_take_a_url(site: Site) -> None:
    url = f"{site.address}/a.nmap"
    here = nmap.open(EXAMPLE).as_array()
    np.testing.assert_array_equal(nmap.open(url).as_array(), here)
    np.testing.assert_array_equal(nmap.decode(url).values, here)
    assert nmap.inspect(url).to_json() == {**nmap.inspect(EXAMPLE).to_json(), "file": "a.nmap"}


def test_any_file_system_that_fsspec_knows_will_do() -> None:
    with fsspec.open("memory://maps/a.nmap", "wb") as file:
        file.write(FILE)
    assert nmap.open("memory://maps/a.nmap").grid == nmap.open(EXAMPLE).grid
    with pytest.raises(MissingFileError, match=r"memory://maps/b\.nmap: no such file there"):
        nmap.open("memory://maps/b.nmap")


def test_the_commands_take_urls(site: Site, tmp_path: Path) -> None:
    url, out, source = f"{site.address}/a.nmap", tmp_path / "a.mrc", tmp_path / "source.mrc"
    assert run("decode", EXAMPLE, "-o", source).code == 0
    site.answers["/source.mrc"] = Answer(source.read_bytes())
    assert run("decode", url, "-o", out, "-q").code == 0
    np.testing.assert_array_equal(mrcfile.read(out), mrcfile.read(source))
    assert json.loads(run("inspect", url, "--json").out)["file"] == "a.nmap"
    site.asked.clear()
    ran = run("validate", url, f"{site.address}/source.mrc", "--min-fsc", 0.999, "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["source"] == "source.mrc"
    assert site.asked == ["GET /a.nmap", "GET /source.mrc"]  # each once
    page = tmp_path / "page.html"
    assert run("view", url, "--export", page).code == 0
    assert '"name": "a.nmap"' in page.read_text(encoding="utf-8")


def test_validate_of_the_public_face_takes_urls(site: Site, tmp_path: Path) -> None:
    source = tmp_path / "source.mrc"
    nmap.write_map(nmap.decode(EXAMPLE), source)
    site.answers["/source.mrc"] = Answer(source.read_bytes())
    found = nmap.validate(f"{site.address}/a.nmap", f"{site.address}/source.mrc", limits={"min_fsc": 0.999})
    assert found.holds
    assert site.asked == ["GET /a.nmap", "GET /source.mrc"]


def test_an_entry_number_means_the_archives_documented_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NMAP_EMDB_URL", raising=False)
    archive = "https://files.wwpdb.org/pub/emdb/structures"
    assert RemoteFile("emd:11007").url == f"{archive}/EMD-11007/map/emd_11007.map.gz"
    assert RemoteFile("EMD:93").url == f"{archive}/EMD-0093/map/emd_0093.map.gz"


def test_read_map_takes_an_entry_number_and_keeps_where_the_map_is_from(site: Site) -> None:
    density = nmap.read_map("emd:3197")
    np.testing.assert_array_equal(density.values, BLOB)
    assert density.header is not None
    assert density.header.url == site.address + ENTRY
    assert density.header.name == "emd_3197.map.gz"
    assert density.header.compression == "gzip"


def test_a_file_encoded_from_the_archive_records_address_and_hash(site: Site, tmp_path: Path) -> None:
    out = tmp_path / "a.nmap"
    ran = run("encode", "emd:3197", out, *FIT, "--resolution", 8)
    assert ran.code == 0, ran.err
    source = open_file(out).neural_map.record["source"]
    assert source["url"] == site.address + ENTRY
    assert source["sha256"] == hashlib.sha256(PACKED).hexdigest()
    assert source["file"] == "emd_3197.map.gz"
    assert site.address + ENTRY in run("inspect", out).out
    assert list((tmp_path / "fetched").iterdir()) == []


FIT = (
    "--arch",
    "radial-basis",
    "--preset",
    "preview",
    "--effort",
    "low",
    "--device",
    "cpu",
    "--mask",
    "none",
)
HEADER = b"""<?xml version="1.0"?><emd emdb_id="EMD-3197" version="3.0">
<map><contour_list><contour primary="true"><level>0.4</level></contour></contour_list></map>
<final_reconstruction><resolution>9.0</resolution></final_reconstruction></emd>"""


def test_an_entrys_header_gives_resolution_and_contour_where_they_are_not_given(
    site: Site, tmp_path: Path
) -> None:
    site.answers["/structures/EMD-3197/header/emd-3197.xml"] = Answer(HEADER)
    first, second = tmp_path / "a.nmap", tmp_path / "b.nmap"
    ran = run("encode", "emd:3197", first, *FIT)
    assert ran.code == 0, ran.err
    assert "resolution 9 from the entry's header; --resolution sets another" in ran.err
    source = open_file(first).neural_map.record["source"]
    assert (source["resolution"], source["contour_level"]) == (9.0, pytest.approx(0.4))
    ran = run("encode", "emd:3197", second, *FIT, "--resolution", 8, "--contour", 0.5, "-q")
    assert (ran.code, ran.err) == (0, "")
    source = open_file(second).neural_map.record["source"]
    assert (source["resolution"], source["contour_level"]) == (8.0, 0.5)


def test_the_output_may_be_named_by_its_option(site: Site, tmp_path: Path) -> None:
    ran = run("encode", "emd:3197", "-o", tmp_path / "a.nmap", *FIT, "--resolution", 8)
    assert ran.code == 0, ran.err


def test_an_entry_without_its_header_is_encoded_all_the_same(site: Site, tmp_path: Path) -> None:
    ran = run("encode", "emd:3197", tmp_path / "a.nmap", *FIT, "--resolution", 8)
    assert ran.code == 0, ran.err
    assert "warning: without the entry's header" in ran.err


def test_a_servers_gzip_encoding_does_not_unpack_the_file(site: Site) -> None:
    site.answers[ENTRY].headers["Content-Encoding"] = "gzip"
    header = nmap.read_map("emd:3197").header
    assert header is not None
    assert header.sha256 == hashlib.sha256(PACKED).hexdigest()


@pytest.mark.parametrize("entry", ["emd:", "emd:abc", "emd:3197/../..", "emd:-1", "emd:12345678", "emd:٣١٩٧"])
def test_no_entry_number_is_refused_before_anything_is_asked(entry: str, site: Site) -> None:
    ran = run("encode", entry, "a.nmap")
    assert ran.code == 2
    assert "wanted emd: and the number of an EMDB entry" in ran.err
    assert site.asked == []


def test_a_mirror_that_is_no_url_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NMAP_EMDB_URL", "/mirror")
    with pytest.raises(nmap.errors.OptionError, match="NMAP_EMDB_URL=/mirror: wanted the URL"):
        nmap.read_map("emd:3197")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "local:///etc/passwd", "FILE:///etc/passwd"])
def test_a_url_of_this_machine_is_refused(url: str) -> None:
    with pytest.raises(nmap.errors.OptionError, match="lies on this machine: give its path"):
        nmap.open(url)


def test_a_file_of_an_archive_is_left_to_what_reads_a_part_of_it() -> None:
    assert not remote.is_remote("https://example.org/a.zip::name")


FAULTS = {
    "absent": (Answer(b"", 404), MissingFileError, "no such file there"),
    "forbidden": (Answer(b"", 403), RemoteError, "the server answers 403"),
    "broken": (Answer(b"", 500), RemoteError, "the server answers 500"),
    "page": (Answer(b"<!DOCTYPE html><p>Sign in"), nmap.errors.FormatError, "is a web page, not a .nmap file"),
    "truncated": (Answer(FILE[:-9], length=len(FILE)), RemoteError, "could not be fetched"),
    "cut short": (Answer(FILE[:-9], length=-1), nmap.errors.FormatError, "a.nmap"),
    "large": (Answer(b"", length=1 << 40), LimitError, "1099511627776 bytes or more"),
    "to a local file": (Answer(b"", 302, {"Location": "file:///etc/passwd"}), RemoteError, "sends us on to file:///etc"),
    "in circles": (Answer(b"", 302, {"Location": "/x/a.nmap"}), RemoteError, "could not be fetched"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_server_does_wrong_is_one_line_and_leaves_nothing(
    fault: str, site: Site, tmp_path: Path
) -> None:
    answer, kind, words = FAULTS[fault]
    site.answers["/x/a.nmap"] = answer
    url = f"{site.address}/x/a.nmap"
    with pytest.raises(kind, match=words):
        nmap.open(url)
    ran = run("inspect", url)
    assert ran.code == kind.exit_code
    assert ran.err.count("\n") == 1
    assert url in ran.err
    assert list((tmp_path / "fetched").iterdir()) == []


def test_a_file_of_unstated_length_is_given_up_at_the_limit(site: Site) -> None:
    site.answers["/long"] = Answer(bytes(1 << 16), length=-1)
    with pytest.raises(LimitError, match="at most 1000 are fetched"):
        RemoteFile(f"{site.address}/long").local(1000)


@pytest.mark.parametrize("drip", [False, True], ids=["silent", "dripping"])
def test_a_slow_server_does_not_hold_us(drip: bool, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PATIENCE", 0.4)
    site.answers["/slow"] = Answer(FILE, held_after=100, drip=drip)
    with pytest.raises(RemoteError, match=r"bytes in \d+ s" if drip else r"nothing came for 0\.4 s"):
        nmap.open(f"{site.address}/slow")


def test_a_redirect_to_another_page_is_followed(site: Site) -> None:
    site.answers["/moved"] = Answer(b"", 302, {"Location": "/a.nmap"})
    assert nmap.open(f"{site.address}/moved").grid == nmap.open(EXAMPLE).grid


def test_nobody_at_the_address_is_one_line() -> None:
    with serving({}) as gone:
        address = gone.address
    ran = run("inspect", f"{address}/a.nmap")
    assert (ran.code, ran.err.count("\n")) == (3, 1)
    assert "could not be fetched" in ran.err


def test_what_gives_access_is_in_no_message_and_no_record(site: Site) -> None:
    url = site.address.replace("//", "//someone:secret@") + "/b.nmap?X-Amz-Signature=secret#secret"
    file = RemoteFile(url)
    assert file.url == f"{site.address}/b.nmap"
    with pytest.raises(MissingFileError) as found:
        nmap.open(url)
    assert "secret" not in str(found.value)
    site.answers["/b.nmap"] = Answer(FILE)
    assert nmap.inspect(url).file == "b.nmap"


def test_a_files_name_leads_out_of_no_folder(site: Site) -> None:
    site.answers["/x/..%2F..%2Fa.nmap"] = Answer(FILE)
    file = RemoteFile(f"{site.address}/x/..%2F..%2Fa.nmap")
    here = file.local()
    assert here.parent.parent == Path(str(here)).parent.parent
    assert here.read_bytes() == FILE
    assert "/" not in file.name
    folder = here.parent
    del file
    assert not folder.exists()


def test_without_the_extra_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(MissingPackageError, match=r"needs aiohttp.*pip install '.\[remote\]'"):
        nmap.open(f"{site.address}/a.nmap")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    ran = run("inspect", "s3://bucket/a.nmap")
    assert (ran.code, ran.err.count("\n")) == (4, 1)
    assert "pip install '.[remote]' in a checkout" in ran.err


def test_a_kind_of_url_whose_package_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingPackageError, match="s3fs"):
        nmap.open("s3://bucket/a.nmap")


def test_a_kind_of_url_that_nobody_knows_is_one_line() -> None:
    ran = run("inspect", "gopherus://example.org/a.nmap")
    assert (ran.code, ran.err.count("\n")) == (3, 1)
    assert "gopherus" in ran.err


def test_nothing_is_written_to_a_url(site: Site) -> None:
    ran = run("decode", EXAMPLE, "-o", f"{site.address}/a.mrc")
    assert ran.code == 2
    assert "nothing is written to a URL" in ran.err


def test_a_local_file_of_an_entrys_name_can_still_be_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "emd:1").write_bytes(FILE)
    monkeypatch.chdir(tmp_path)
    assert nmap.open("./emd:1").grid == nmap.open(EXAMPLE).grid
    assert nmap.open(Path("emd:1")).grid == nmap.open(EXAMPLE).grid


def test_how_far_a_large_file_is_told(site: Site) -> None:
    site.answers["/large"] = Answer(bytes(3 << 20))
    told: list[tuple[int, int | None]] = []
    RemoteFile(f"{site.address}/large", lambda done, total: told.append((done, total))).local()
    assert told[-1] == (3 << 20, 3 << 20)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
