"""A map in a notebook: its card, its widget, and the example notebook."""

from __future__ import annotations

import ast
import base64
import html
import io
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import nmap
from nmap.errors import LimitError, MissingPackageError
from nmap.neural_map import NeuralMap
from nmap.notebook.card import png, slices

ROOT = Path(__file__).parents[2]
VALID = ROOT / "spec" / "conformance" / "valid"
NOTEBOOK = ROOT / "examples" / "notebook.ipynb"
PLAIN_TAGS = {"div", "table", "tr", "th", "td", "img", "p"}


class Tags(HTMLParser):
    """Names of all elements and of their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


def picture(card: str) -> np.ndarray:
    """The inline picture of a card as Pillow reads it."""
    found = re.search(r'src="data:image/png;base64,([^"]+)"', card)
    assert found is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))))


@pytest.mark.parametrize("name", ["radial-basis", "block-siren", "siren-f16", "cell-angles"])
def test_a_card_has_facts_and_the_three_central_slices(name: str) -> None:
    neural = nmap.open(VALID / f"{name}.nmap")
    card = neural._repr_html_()
    assert Tags(card).names <= PLAIN_TAGS
    assert str(neural.grid) in html.unescape(card)
    shown, whole = picture(card), neural.as_array()
    nz, ny, nx = whole.shape
    assert shown.shape == (max(ny, nz), nx + nx + ny + 2 * 6)
    middle = whole[nz // 2]
    inside = (shown[:ny, :nx] > 0) & (shown[:ny, :nx] < 255)
    assert np.corrcoef(shown[:ny, :nx][inside], middle[inside])[0, 1] > 0.999


def test_an_image_is_shown_as_itself() -> None:
    neural = nmap.open(VALID / "image.nmap")
    assert sorted(slices(neural).shape) == sorted(n for n in neural.grid.shape if n > 1)


def test_a_large_map_is_shown_with_samples_skipped() -> None:
    neural = nmap.open(VALID / "bare-siren-f32.nmap")
    box = neural.grid.resampled((700, 8, 8))
    large = NeuralMap(replace(neural.field, frame=replace(neural.field.frame, box=box)), neural.tensors)
    assert max(slices(large).shape) <= 192


def test_pillow_reads_the_greys_that_were_written() -> None:
    greys = np.random.default_rng(0).integers(0, 256, (13, 29)).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png(greys)))), greys)


def test_nothing_of_a_strangers_record_is_markup() -> None:
    evil = '<script>alert(1)</script><img src=x onerror=alert(1)>\u202e"' + "x" * 5000
    neural = nmap.open(VALID / "radial-basis.nmap")
    record = {"source": {"file": evil}, "fidelity": {"worst": 0.5, "mask": evil, "resolution": 3.0}}
    card = NeuralMap(neural.field, neural.tensors, record)._repr_html_()
    assert Tags(card).names <= PLAIN_TAGS
    assert Tags(card).attributes <= {"style", "alt", "src"}
    assert "\u202e" not in card
    assert "xxxx" * 200 not in card


def test_a_card_needs_no_picture_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("PIL", "matplotlib", "anywidget", "IPython", "jinja2"):
        monkeypatch.setitem(sys.modules, package, None)
    assert "data:image/png" in nmap.open(VALID / "radial-basis.nmap")._repr_html_()


def test_a_map_that_cannot_be_decoded_here_still_has_its_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise LimitError("no <memory>")

    monkeypatch.setattr(NeuralMap, "on_part", refuse)
    card = nmap.open(VALID / "radial-basis.nmap")._repr_html_()
    assert "Not shown: no &lt;memory&gt;" in card
    assert "resolution kept" in card


def test_a_view_holds_the_page_with_the_map_inside() -> None:
    neural = nmap.open(VALID / "radial-basis.nmap")
    shown = neural.view(level=0.25)
    assert '"level": 0.25' in shown.page
    assert 'id="file-0"' in shown.page
    assert 'setAttribute("sandbox", "allow-scripts")' in str(shown._esm)


def test_without_anywidget_view_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(MissingPackageError, match=r"view needs anywidget.*'\.\[notebook\]'"):
        nmap.open(VALID / "radial-basis.nmap").view()


def cells(kind: str) -> list[dict[str, Any]]:
    found = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == kind]


def test_the_example_notebook_is_stored_without_outputs() -> None:
    for cell in cells("code"):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


def test_the_example_notebook_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(NOTEBOOK.parent)
    names: dict[str, Any] = {}
    shown = []
    for cell in cells("code"):
        *work, last = ast.parse("".join(cell["source"])).body
        assert isinstance(last, ast.Expr)
        exec(compile(ast.Module(work, []), NOTEBOOK.name, "exec"), names)
        shown.append(eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), names))
    card, view, (density, slope), highest, worst = shown
    assert "emd_3488.map.gz" in card._repr_html_()
    assert len(view.page) > 1_000_000
    assert np.shape(density) == () and np.shape(slope) == (3,)
    assert np.isfinite(highest)
    assert 0.85 < worst < 1
