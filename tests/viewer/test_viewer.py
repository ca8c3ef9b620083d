"""`nmap view` without a browser: what it serves, to whom, and until when; the exported page; the scripts' bundle."""

from __future__ import annotations

import gzip
import json
import re
import threading
from functools import partial
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from click.testing import CliRunner

from nmap.container import open_map
from nmap.errors import OptionError
from nmap.grid import Grid
from nmap.maps.density_map import DensityMap
from nmap.viewer import Contents, PageServer, exported_page, marked, read_model, server
from nmap.viewer.bundle import bundle
from nmap.viewer.page import MOLSTAR, served_page
from nmap_cli.main import cli

SUITE = Path(__file__).parents[2] / "spec" / "conformance"
FILE = SUITE / "valid" / "everything.nmap"


@pytest.fixture
def contents() -> Contents:
    grid = Grid((2, 3, 4), (1.0, 1.5, 2.0), origin=(5.0, 6.0, 7.0))
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    return Contents([(FILE.name, FILE.read_bytes())], source=DensityMap(values, grid))


@pytest.fixture
def running(contents: Contents, monkeypatch: pytest.MonkeyPatch) -> tuple[PageServer, threading.Thread]:
    monkeypatch.setattr(server, "_PATIENCE", 0.05)
    monkeypatch.setattr(server, "_BEAT", 0.02)
    served = PageServer(contents)
    thread = threading.Thread(target=served.run, daemon=True)
    thread.start()
    return served, thread


def ask(address: str, name: str = "", **headers: str) -> tuple[HTTPResponse, bytes]:
    parts = urlsplit(address)
    connection = HTTPConnection(parts.netloc, timeout=10)
    connection.request("GET", parts.path + name, headers=headers)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer, data


def close_page(served: PageServer) -> None:
    """A page that comes and goes."""
    parts = urlsplit(served.address)
    connection = HTTPConnection(parts.netloc, timeout=10)
    connection.request("GET", parts.path + "alive")
    answer = connection.getresponse()
    assert answer.read(3) == b":\n\n"
    answer.close()
    connection.close()


def test_it_serves_what_the_page_names_and_ends_when_the_page_is_gone(
    running: tuple[PageServer, threading.Thread], contents: Contents
) -> None:
    served, thread = running
    assert urlsplit(served.address).hostname == "127.0.0.1"
    answer, page = ask(served.address)
    assert answer.status == 200 and b"<title>nmap view</title>" in page
    assert ask(served.address, "file-0")[1] == FILE.read_bytes()
    assert contents.source is not None
    assert ask(served.address, "source")[1] == contents.source.values.tobytes()
    assert ask(served.address, "molstar.js", **{"Accept-Encoding": "gzip"})[1] == MOLSTAR.read_bytes()
    assert ask(served.address, "molstar.js")[1] == gzip.decompress(MOLSTAR.read_bytes())
    close_page(served)
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize("name", ["file-1", "../", "alive/x", "static/page.js", "%2e%2e/etc/passwd"])
def test_it_serves_nothing_else(running: tuple[PageServer, threading.Thread], name: str) -> None:
    assert ask(running[0].address, name)[0].status == 404
    close_page(running[0])


def test_it_serves_nobody_who_does_not_know_the_path_or_comes_by_another_name(
    running: tuple[PageServer, threading.Thread],
) -> None:
    served = running[0]
    assert ask(f"http://{served.host}/")[0].status == 404
    assert ask(f"http://{served.host}/guessed/")[0].status == 404
    assert ask(served.address, Host="evil.example")[0].status == 404
    assert ask(served.address, Host="localhost:1")[0].status == 404
    close_page(served)


def test_two_servers_have_different_paths(contents: Contents) -> None:
    servers = [PageServer(contents) for _ in range(2)]
    paths = {urlsplit(served.address).path for served in servers}
    for served in servers:
        served.close()
    assert len(paths) == 2 and all(len(path) > 20 for path in paths)


def config(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="config">(.*?)</script>', page, re.S)
    assert found is not None
    out: dict[str, object] = json.loads(found[1])
    return out


def test_the_page_is_told_where_the_source_lies(contents: Contents) -> None:
    source = config(served_page(contents))["source"]
    assert isinstance(source, dict)
    assert source["grid"] == {
        "shape": [2, 3, 4],
        "origin": [5.0, 6.0, 7.0],
        "voxelSize": [1.0, 1.5, 2.0],
        "axes": [[1.0, 0.0, 0.0], [0.0, 1.5, 0.0], [0.0, 0.0, 2.0]],
    }


def test_an_exported_page_holds_everything_in_two_and_a_half_megabytes() -> None:
    data = FILE.read_bytes()
    page = exported_page(Contents([("a.nmap", data)]))
    assert len(page.encode()) <= 2_500_000 + len(data)
    # Links in licences and the names of XML's own language lead nowhere by themselves.
    assert not re.search(r'(?:src|href)\s*=\s*"(?!data:)', page)
    assert "Permission is hereby granted, free of charge" in page


def test_a_name_that_is_markup_stays_inside_its_text() -> None:
    name = "</script><script>alert(1)</script><!--.nmap"
    page = exported_page(Contents([(name, FILE.read_bytes())]))
    assert "<script>alert" not in page and "<!--.nmap" not in page
    assert config(page)["files"] == [{"name": name, "data": {"element": "file-0"}}]


def test_a_whole_source_is_not_exported(contents: Contents) -> None:
    with pytest.raises(OptionError, match="whole map"):
        exported_page(contents)


def test_a_model_is_read_plain_or_gzipped_and_by_its_ending(tmp_path: Path) -> None:
    for name, kind in (("m.cif", "mmcif"), ("m.pdb", "pdb"), ("m.ent", "pdb")):
        (tmp_path / name).write_bytes(b"data_x\n")
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(b"data_x\n"))
        for path in (tmp_path / name, tmp_path / f"{name}.gz"):
            model = read_model(path)
            assert (model.name, model.data, model.format) == (name, b"data_x\n", kind)
    (tmp_path / "m.txt").write_bytes(b"")
    with pytest.raises(OptionError, match=r"\.cif"):
        read_model(tmp_path / "m.txt")


def test_a_module_with_an_unknown_form_of_import_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text('import everything from "./b.js";\n')
    with pytest.raises(ValueError, match="import everything"):
        bundle(tmp_path / "a.js", {})


def test_modules_are_bundled_once_each_and_before_those_that_need_them(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text(
        'import { b } from "./b.js";\nimport { c as d } from "./c.js";\nuse(b, d);\n'
    )
    (tmp_path / "b.js").write_text('import { c } from "./c.js";\nexport const b = c + 1;\n')
    (tmp_path / "c.js").write_text("export function c() {}\n")
    script = bundle(tmp_path / "a.js", {})
    assert script.count("function c()") == 1 and "const { c: d }" in script
    assert script.index("function c()") < script.index("const b") < script.index("use(b, d)")


def test_a_bad_file_is_refused_before_a_browser_opens() -> None:
    done = CliRunner().invoke(cli, ["view", str(SUITE / "invalid" / "flipped.nmap")])
    assert done.exit_code == 3
    assert "sha256" in done.output


def test_an_export_replaces_nothing_unasked(tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    target.write_text("mine")
    done = CliRunner().invoke(cli, ["view", str(FILE), "--export", str(target)])
    assert done.exit_code == 2 and target.read_text() == "mine"
    done = CliRunner().invoke(cli, ["view", str(FILE), "--export", str(target), "--overwrite"])
    assert done.exit_code == 0 and "nmap view" in target.read_text()


def test_a_model_that_lies_elsewhere_is_named_where_its_colours_were_asked_for(tmp_path: Path) -> None:
    model = tmp_path / "far.pdb"
    atom = "ATOM      1  CA  ALA A   1     900.000 900.000 900.000  1.00 10.00           C"
    model.write_text(f"{atom}\nEND\n", encoding="utf-8")
    neural = open_map(FILE)
    source = DensityMap(neural.as_array(), neural.grid)
    shown = Contents(
        [(FILE.name, FILE.read_bytes())],
        source,
        read_model(model),
        marks=[partial(marked, neural, source, model)],
    )
    served = PageServer(shown)
    threading.Thread(target=served.run, daemon=True).start()
    answer, _ = ask(served.address, "marks-0")
    assert answer.status == 422
    assert "none of 1 atoms lies in the box" in answer.reason
    told = config(served_page(shown))["model"]
    assert isinstance(told, dict)
    assert told["marks"] == [{"address": "marks-0"}]
    close_page(served)
