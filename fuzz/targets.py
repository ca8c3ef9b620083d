"""What is fuzzed: each target takes bytes and must either read them or raise an error of nmap's own."""

from __future__ import annotations

import importlib.util
import os
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from nmap.coding.lattice import unpack as unpack_lattice
from nmap.coding.matrices import MATRICES
from nmap.coding.occupancy import unpack as unpack_occupancy
from nmap.coding.tensor import CodedTensor
from nmap.container.codec import decode_bytes
from nmap.container.header import from_text
from nmap.container.layout import parse_layout
from nmap.container.record import unpack as unpack_record
from nmap.errors import NmapError
from nmap.fit.checkpoint import load as load_checkpoint
from nmap.grid import Grid
from nmap.import_siren.import_siren import import_weights
from nmap.machine.compiled import PATIENCE, Loop
from nmap.maps import read_map

# Steps of loops from which none is compiled.
_PLAIN = -(1 << 60)
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


@cache
def _compiled(name: str) -> Any:
    """A second copy of a module, which the fuzzer has not marked and numba can compile, with its loops compiled.

    It has the name of the first, for what numba keeps of its loops is for both.
    """
    found = importlib.util.find_spec(name)
    assert found is not None and found.origin is not None
    spec = importlib.util.spec_from_file_location(name, found.origin)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    Loop.steps = PATIENCE
    for loop in [value for value in vars(module).values() if isinstance(value, Loop)]:
        loop.chosen(1)
    Loop.steps = _PLAIN
    return module


def _alike(plain: Callable[[], bytes], compiled: Callable[[], bytes]) -> None:
    """Hold what plain Python and compiled loops make of a stream against each other."""

    def outcome(work: Callable[[], bytes]) -> bytes:
        try:
            return work()
        except NmapError as error:
            return str(error).encode()

    if outcome(plain) != outcome(compiled):
        raise AssertionError("compiled loops give something else than plain ones")


def lattice(data: bytes) -> None:
    """A stream of lattice weights, on a small lattice."""
    module = _compiled("nmap.coding.lattice")
    module.stages = _compiled("nmap.coding.lattice_contexts").stages
    words = data[1:], data[:1], (4, 4, 8)
    _alike(lambda: unpack_lattice(*words).tobytes(), lambda: module.unpack(*words).tobytes())


def matrices(data: bytes) -> None:
    """A stream of whole numbers in matrices."""
    arrays = {"": np.frombuffer(data or b"\0", np.uint8), "step": np.ones(2, "<f2")}
    coded = CodedTensor("matrices", (324,), {"shapes": "12x18 9x12"}, arrays)
    quick = _compiled("nmap.coding.matrices").MATRICES.decode
    _alike(lambda: MATRICES.decode(coded).tobytes(), lambda: quick(coded).tobytes())


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
        matrices,
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
    Loop.steps = _PLAIN  # numba cannot compile what the fuzzer has marked
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            target(data)
        except (NmapError, UnicodeDecodeError):
            return
