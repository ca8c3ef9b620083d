"""What is fuzzed: each target takes bytes and must either read them or raise an error of nmap's own."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

from nmap.fit.bumps.checkpoint import load as load_checkpoint

from nmap.coding.lattice import unpack as unpack_lattice
from nmap.coding.occupancy import unpack as unpack_occupancy
from nmap.container.codec import decode_bytes
from nmap.container.header import from_text
from nmap.container.layout import parse_layout
from nmap.container.record import unpack as unpack_record
from nmap.errors import NmapError
from nmap.grid import Grid
from nmap.import_siren.import_siren import import_weights
from nmap.maps import read_map

GRID = Grid((4, 4, 4), (1.0, 1.0, 1.0))
_FOLDER = Path(tempfile.mkdtemp(prefix="nmap-fuzz-"))


def _file(data: bytes, suffix: str) -> Path:
    path = _FOLDER / f"{os.getpid()}{suffix}"
    path.write_bytes(data)
    return path


def container(data: bytes) -> None:
    """A whole `.nmap`."""
    decode_bytes(data)


def layout(data: bytes) -> None:
    """The JSON header of a `.nmap`, its length put before it."""
    parse_layout(len(data).to_bytes(8, "little") + data)


def header(data: bytes) -> None:
    """The metadata in that header."""
    from_text(data.decode("utf-8", "surrogatepass"))


def lattice(data: bytes) -> None:
    """A stream of lattice weights, on a small lattice."""
    unpack_lattice(data[1:], data[:1], (16, 16, 16))


def occupancy(data: bytes) -> None:
    """A stream of occupancy bits."""
    unpack_occupancy(data, (7, 8, 9))


def record(data: bytes) -> None:
    """The record of a file."""
    unpack_record(data)


def mrc(data: bytes) -> None:
    """A map: any bytes."""
    read_map(_file(data, ".mrc"), max_memory=1 << 20)


def npz(data: bytes) -> None:
    """SIREN weights as `.npz`."""
    import_weights(_file(data, ".npz"), GRID)


def safetensors(data: bytes) -> None:
    """SIREN weights as `.safetensors`."""
    import_weights(_file(data, ".safetensors"), GRID)


def pt(data: bytes) -> None:
    """SIREN weights as a torch file."""
    import_weights(_file(data, ".pt"), GRID)


def checkpoint(data: bytes) -> None:
    """The kept state of a fit."""
    load_checkpoint(_file(data, ".ckpt"), b"")


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        container,
        layout,
        header,
        lattice,
        occupancy,
        record,
        mrc,
        npz,
        safetensors,
        pt,
        checkpoint,
    )
}


def run(target: Callable[[bytes], None], data: bytes) -> None:
    """One execution; anything but an error of nmap's own goes up."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            target(data)
        except (NmapError, UnicodeDecodeError):
            return
