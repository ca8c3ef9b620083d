"""What a notebook shows of a map by itself: its facts and three slices, as HTML without a script."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterator
from html import escape

import numpy as np
from numpy.typing import NDArray

from nmap.errors import NmapError
from nmap.inspection import Inspection
from nmap.neural_map import NeuralMap
from nmap.plain_text import printable
from nmap.report.finding_words import recorded_fsc_words
from nmap.report.fit_words import side_chain_words
from nmap.side_chains import side_chains, subject

U8 = NDArray[np.uint8]

# Pixels along a slice's longer edge at most: of a larger map samples are skipped.
_MOST_PIXELS = 192
# Samples of a map, or of its lattice, whose slices are not made unasked: some seconds of work.
_MOST_SAMPLES = 1 << 26
# Pixels between two slices, and their grey.
_GAP, _GROUND = 6, 255
# Shares of the values that are drawn black and white, so that one bright voxel does not darken the rest, percent.
_WINDOW = (1.0, 99.8)
# Characters of a text of the file.
_MOST_TEXT = 120


def card(neural_map: NeuralMap) -> str:
    """Facts and three slices of a map: one HTML element, no script, every text escaped."""
    rows = "".join(
        f'<tr><th style="text-align:left">{_safe(name)}</th><td style="text-align:left">{_safe(value)}</td></tr>'
        for name, value in _facts(neural_map)
    )
    return f"<div><table>{rows}</table>{_picture(neural_map)}</div>"


def slices(neural_map: NeuralMap) -> U8:
    """The middle sections across z, y and x side by side, greys of one scale; an image itself.

    Raises:
        NmapError: the map cannot be decoded.
    """
    shape = neural_map.grid.shape
    step = -(-max(shape) // _MOST_PIXELS)
    middles = [slice(n // 2, n // 2 + 1) for n in shape]
    whole = [slice(n // 2 % step, n, step) if n > 1 else slice(0, 1) for n in shape]
    flat = [axis for axis, n in enumerate(shape) if n == 1]
    sections = []
    for axis in flat[:1] or range(3):
        part = [middles[a] if a == axis else whole[a] for a in range(3)]
        sections.append(neural_map.on_part((part[0], part[1], part[2])).squeeze(axis))
    low, high = np.percentile(np.concatenate([s.ravel() for s in sections]), _WINDOW)
    greys = [np.clip(255 * (s - low) / (max(high - low, 1e-30)), 0, 255).astype(np.uint8) for s in sections]
    tallest = max(len(grey) for grey in greys)
    padded = [np.pad(g, ((0, tallest - len(g)), (0, _GAP)), constant_values=_GROUND) for g in greys]
    return np.hstack(padded)[:, :-_GAP]


def png(greys: U8) -> bytes:
    """A picture of 8-bit greys (rows, columns) as a PNG file (ISO/IEC 15948); needs no package."""
    rows, columns = greys.shape
    lines = np.hstack(
        [np.zeros((rows, 1), np.uint8), greys]
    ).tobytes()  # each row after its filter, 0 for none

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(lines, 9)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _facts(neural_map: NeuralMap) -> Iterator[tuple[str, str]]:
    field, record = neural_map.field, neural_map.record
    source, fidelity = record.get("source", {}), record.get("fidelity", {})
    yield "map", str(source.get("file", "not recorded"))
    yield "sampling", str(neural_map.grid)
    network = Inspection("", neural_map, {}, record).network
    stored = sum(tensor.nbytes for tensor in neural_map.tensors.values())
    yield (
        "network",
        f"{network}, {stored} bytes: 1/{4 * neural_map.grid.size / max(stored, 1):.4g} of the voxels",
    )
    limit = field.resolution
    yield "resolution kept", "no band limit" if limit is None else f"{limit:.4g} Å"
    if field.symmetry is not None:
        yield "symmetry", field.symmetry.name
    if isinstance(fidelity.get("worst"), int | float):
        reach, within = fidelity.get("resolution", limit), str(fidelity.get("mask", "none"))
        yield "fidelity FSC", recorded_fsc_words(fidelity["worst"], reach, within)
        if not neural_map.grid.is_flat:
            yield subject(limit), side_chain_words(side_chains(record))
    if neural_map.contour_level is not None:
        yield "contour level", f"{neural_map.contour_level:.4g}"


def _picture(neural_map: NeuralMap) -> str:
    """The slices as an inline picture; in words why there is none, where there is none."""
    lattice = neural_map.field.lattice
    if max(neural_map.grid.size, 0 if lattice is None else int(np.prod(lattice))) > _MOST_SAMPLES:
        return "<p>Too large to show at once.</p>"
    try:
        data = base64.b64encode(png(slices(neural_map))).decode("ascii")
    except (NmapError, MemoryError) as error:
        return f"<p>Not shown: {_safe(str(error))}</p>"
    return f'<img alt="central slices across z, y and x" src="data:image/png;base64,{data}">'


def _safe(text: str) -> str:
    """A text as HTML shows it: one line, cut, nothing in it markup."""
    line = printable(text)
    return escape(line if len(line) <= _MOST_TEXT else line[: _MOST_TEXT - 1] + "…")
