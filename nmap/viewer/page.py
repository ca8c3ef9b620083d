"""The viewer's page: from its parts to HTML, with what it shows beside it or inside it."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmap.errors import OptionError
from nmap.grid import Grid
from nmap.machine.inputs import existing
from nmap.maps.density_map import DensityMap
from nmap.remote import RemoteFile
from nmap.side_chains import KEPT_FROM, RELATIVE, SHOWN_TO
from nmap.viewer.bundle import bundle

STATIC = Path(__file__).parent / "static"
MOLSTAR = STATIC / "molstar" / "molstar.js.gz"
_MODEL_FORMATS = {".cif": "mmcif", ".mmcif": "mmcif", ".pdb": "pdb", ".ent": "pdb"}


@dataclass(frozen=True)
class Model:
    """An atomic model as it lies on disk: name, bytes, and what Mol* calls its format."""

    name: str
    data: bytes
    format: str


@dataclass(frozen=True)
class Contents:
    """What a page shows.

    Attributes:
        files: name and bytes of each `.nmap` file.
        source: the map that they were made from, None for none.
        model: atomic model, None for none.
        level: surface level in density, None for the file's own.
        marks: for each of the files what makes the model as mmCIF, its B-factors the loss of Q in hundredths; none
            without a source.
    """

    files: Sequence[tuple[str, bytes]]
    source: DensityMap | None = None
    model: Model | None = None
    level: float | None = None
    marks: Sequence[Callable[[], bytes]] = ()

    def blobs(self) -> dict[str, Callable[[], bytes]]:
        """All bytes that the page asks for, by the name that it asks with; made when they are called for."""
        out = {f"file-{i}": _constant(data) for i, (_, data) in enumerate(self.files)}
        if self.source is not None:
            values = self.source.values
            out["source"] = lambda: values.astype("<f4", copy=False).tobytes()
        if self.model is not None:
            out["model"] = _constant(self.model.data)
        out.update({f"marks-{i}": make for i, make in enumerate(self.marks)})
        return out


def read_model(path: Path | RemoteFile) -> Model:
    """An atomic model, mmCIF or PDB, plain or gzipped.

    Raises:
        OptionError: its name has none of the endings that tell the format.
        OSError: it cannot be read.
    """
    name = path.name.removesuffix(".gz")
    kind = _MODEL_FORMATS.get(Path(name).suffix.lower())
    if kind is None:
        raise OptionError(
            f"{path}: wanted a model whose name ends in {', '.join(_MODEL_FORMATS)}, or these with .gz"
        )
    data = existing(path).read_bytes()
    return Model(name, gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data, kind)


def served_page(contents: Contents) -> str:
    """The page for a server that gives each of the blobs, and Mol*, under its name beside the page."""
    return _page(contents, lambda name: {"address": name}, alive=True)


def exported_page(contents: Contents) -> str:
    """The page with everything inside: one file that opens from disk, without a network.

    Raises:
        OptionError: it would hold the whole source map.
    """
    if contents.source is not None:
        raise OptionError(
            "an exported page with a `source`: it would hold the whole map; leave one of the two out"
        )
    blobs = {name: _packed(gzip.compress(make(), 9, mtime=0)) for name, make in contents.blobs().items()}
    blobs["molstar.js"] = _packed(MOLSTAR.read_bytes())
    licence = (STATIC / "molstar" / "LICENSE").read_text(encoding="utf-8")
    payload = "\n".join(
        [f"<!-- Mol*, in this page, has this licence:\n{licence}-->"]
        + [f'<script type="text/plain" id="{name}">{text}</script>' for name, text in blobs.items()]
    )
    return _page(contents, lambda name: {"element": name}, payload=payload)


def _page(
    contents: Contents, place: Callable[[str], dict[str, str]], *, alive: bool = False, payload: str = ""
) -> str:
    config: dict[str, Any] = {
        "files": [{"name": name, "data": place(f"file-{i}")} for i, (name, _) in enumerate(contents.files)],
        "molstar": place("molstar.js"),
        "level": contents.level,
        "sideChains": {"keptFrom": dict(KEPT_FROM), "shownTo": SHOWN_TO, "relative": list(RELATIVE)},
    }
    if alive:
        config["alive"] = "alive"
    if contents.source is not None:
        config["source"] = {"data": place("source"), "grid": _lie(contents.source.grid)}
    if contents.model is not None:
        config["model"] = {
            "data": place("model"),
            "name": contents.model.name,
            "format": contents.model.format,
            "marks": [place(f"marks-{i}") for i in range(len(contents.marks))],
        }
    parts = {
        "style": (STATIC / "page.css").read_text(encoding="utf-8"),
        "config": _json_inside(config),
        "reader": _script_inside(script("worker.js")),
        "payload": payload,
        "script": _script_inside(script("page.js")),
    }
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    head, *rest = page.split("/*{")
    return head + "".join(parts[name] + after for name, _, after in (part.partition("}*/") for part in rest))


def script(name: str) -> str:
    """One of the page's scripts, with all that it imports."""
    return bundle(STATIC / name, {"./reader/": reader()})


def reader() -> Path:
    """The folder of the JavaScript reader: in the package, or in a checkout beside it."""
    packed = STATIC / "reader"
    return packed if packed.is_dir() else Path(__file__).parents[2] / "viewer"


def _lie(grid: Grid) -> dict[str, Any]:
    """Where samples lie, as the JavaScript reader says it."""
    return {
        "shape": list(grid.shape),
        "origin": list(grid.origin),
        "voxelSize": list(grid.voxel_size),
        "axes": grid.axes.T.tolist(),
    }


def _constant(data: bytes) -> Callable[[], bytes]:
    return lambda: data


def _packed(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _json_inside(value: Any) -> str:
    """JSON that ends no element it is put in, whatever names it holds."""
    return json.dumps(value).replace("<", "\\u003c")


def _script_inside(text: str) -> str:
    """A script that ends no element it is put in."""
    assert "<!--" not in text
    return text.replace("</", "<\\/")
