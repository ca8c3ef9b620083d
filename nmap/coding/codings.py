"""Tensors to and from the arrays that a file stores: how many bits a weight gets is decided here.

A coding turns a tensor into one main array and, where it needs them, companions of the same name with a
suffix. To add one, write its check and its decode, name it in `CODINGS`, and give it a page in `spec/`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmap.coding import lattice as lattice_coding
from nmap.coding import occupancy
from nmap.coding.lattice_contexts import BLOCK
from nmap.coding.matrices import MATRICES, encode_matrices
from nmap.coding.numbers import FLOAT, LOG, UNIFORM, encode_float, encode_log, encode_uniform
from nmap.coding.tensor import STORED, CodedTensor, Coding, check_array
from nmap.errors import FormatError, OptionError, UnsupportedError

__all__ = [
    "CODINGS",
    "MAX_LATTICE_POINTS",
    "MAX_OCCUPANCY_NODES",
    "STORED",
    "CodedTensor",
    "Coding",
    "check_tensor",
    "decode_tensor",
    "encode_float",
    "encode_lattice",
    "encode_log",
    "encode_matrices",
    "encode_occupancy",
    "encode_uniform",
]

MAX_OCCUPANCY_NODES = 1 << 20
MAX_LATTICE_POINTS = 1 << 29
_LATTICE = (
    f"three multiples of 4, at most {MAX_LATTICE_POINTS} points and {MAX_OCCUPANCY_NODES} blocks of 8 x 8 x 8"
)


def encode_occupancy(bits: NDArray[np.bool_]) -> CodedTensor:
    """Store a (kz, ky, kx) grid of bits by an adaptive range coder.

    Raises:
        OptionError: not three axes, no node, or more nodes than the format allows.
    """
    grid = np.asarray(bits, bool)
    if grid.ndim != 3 or not 0 < grid.size <= MAX_OCCUPANCY_NODES:
        wanted = f"three axes and 1 to {MAX_OCCUPANCY_NODES} nodes"
        raise OptionError(f"occupancy grid of shape {grid.shape}: wanted {wanted}")
    stored = np.frombuffer(occupancy.pack(grid) or b"\0", np.uint8)
    return CodedTensor("occupancy", grid.shape, {}, {"": stored})


def encode_lattice(weights: NDArray[np.integer]) -> CodedTensor:
    """Store whole numbers on a body-centred cubic lattice by an adaptive range coder.

    Args:
        weights: (z, y, x), counts that are multiples of 4; numbers from -127 to 127, 0 wherever the indices
            are not all even or all odd.

    Raises:
        OptionError: a shape or a number that the coding cannot hold.
    """
    whole = np.asarray(weights)
    if not _is_lattice(whole.shape):
        raise OptionError(f"lattice of shape {whole.shape}: wanted {_LATTICE}")
    place = np.nonzero(whole)
    off = sum(int(((place[0] ^ place[a]) & 1).sum()) for a in (1, 2))
    largest = int(np.abs(whole).max()) if whole.size else 0
    if off or largest > lattice_coding.MAX_WEIGHT:
        raise OptionError(
            f"lattice weights up to {largest}, {off} of them between sites: wanted at most 127 and none"
        )
    shape = (whole.shape[0], whole.shape[1], whole.shape[2])
    sites = lattice_coding.sites_in(lattice_coding.blocks_of(whole), shape)
    total = int(np.abs(whole[place], dtype=np.int64).sum())
    counts, most = (sites, total, place[0].size), [limit.most for limit in lattice_coding.LIMITS]
    if any(count > limit for count, limit in zip(counts, most, strict=True)):
        raise OptionError(
            f"lattice of {sites} sites, {place[0].size} weights that add up to {total}: "
            f"wanted at most {most[0]}, {most[2]} and {most[1]}, use a coarser resolution"
        )
    stream, blocks = lattice_coding.pack(whole)
    arrays = {"": stream or b"\0", "blocks": blocks or b"\0"}
    return CodedTensor("lattice", shape, {}, {name: np.frombuffer(a, np.uint8) for name, a in arrays.items()})


def check_tensor(coded: CodedTensor, name: str = "tensor") -> None:
    """Check that the stored arrays fit the coding and the shape, before anything is decoded.

    Raises:
        UnsupportedError: a coding that this reader does not have.
        FormatError: they do not fit; the message names `name`.
    """
    coding = CODINGS.get(coded.coding)
    if coding is None:
        known = ", ".join(sorted(CODINGS))
        raise UnsupportedError(f'{name}: coding "{coded.coding}", this reader has {known}')
    if sorted(coded.arrays) != sorted(coding.suffixes):
        wanted = f"the {coded.coding} coding wants {sorted(coding.suffixes)}"
        raise FormatError(f"{name}: stored arrays {sorted(coded.arrays)}, {wanted}")
    missing = [key for key in coding.parameters if key not in coded.parameters]
    if missing:
        raise FormatError(f'{name}: {coded.coding} coding wants the parameter "{missing[0]}"')
    try:
        coding.check(coded)
    except FormatError as error:
        raise FormatError(f"{name}: {error}") from None


def decode_tensor(coded: CodedTensor, name: str = "tensor") -> NDArray[Any]:
    """The decoded tensor: float32, or bool for the occupancy coding, or int8 for the lattice coding.

    Raises:
        FormatError: the stored arrays do not fit, or hold a value that is not finite.
    """
    check_tensor(coded, name)
    try:
        values = CODINGS[coded.coding].decode(coded)
    except FormatError as error:
        raise FormatError(f"{name}: {error}") from None
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise FormatError(f"{name}: {int((~np.isfinite(values)).sum())} values are not finite")
    return values


def _check_occupancy(coded: CodedTensor) -> None:
    if len(coded.shape) != 3 or not 0 < coded.size <= MAX_OCCUPANCY_NODES:
        raise FormatError(f"shape {coded.shape}: wanted three axes and 1 to {MAX_OCCUPANCY_NODES} nodes")
    check_array(coded, "", ("U8",), (coded.arrays[""].size,))


def _decode_occupancy(coded: CodedTensor) -> NDArray[np.bool_]:
    return occupancy.unpack(coded.arrays[""].tobytes(), coded.shape)


def _is_lattice(shape: tuple[int, ...]) -> bool:
    """Whether the lattice coding holds this shape."""
    points, blocks = math.prod(shape), math.prod(-(-n // BLOCK) for n in shape)
    fits = 0 < points <= MAX_LATTICE_POINTS and blocks <= MAX_OCCUPANCY_NODES
    return len(shape) == 3 and fits and not any(n % 4 for n in shape)


def _check_lattice(coded: CodedTensor) -> None:
    if not _is_lattice(coded.shape):
        raise FormatError(f"shape {coded.shape}: wanted {_LATTICE}")
    for suffix in ("", "blocks"):
        check_array(coded, suffix, ("U8",), (coded.arrays[suffix].size,))


def _decode_lattice(coded: CodedTensor) -> NDArray[np.int8]:
    shape = (coded.shape[0], coded.shape[1], coded.shape[2])
    return lattice_coding.unpack(coded.arrays[""].tobytes(), coded.arrays["blocks"].tobytes(), shape)


CODINGS: dict[str, Coding] = {
    "float": FLOAT,
    "uniform": UNIFORM,
    "log": LOG,
    "matrices": MATRICES,
    "occupancy": Coding(("",), (), _check_occupancy, _decode_occupancy),
    "lattice": Coding(("", "blocks"), (), _check_lattice, _decode_lattice),
}
