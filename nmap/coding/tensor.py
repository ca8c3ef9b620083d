"""What a file stores of a tensor: `CodedTensor`, and what every coding must bring."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmap.errors import FormatError

Parameter = int | float | str

# What a stored array may be: safetensors' name and numpy's type. numpy has no bfloat16: uint16 holds it.
STORED: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
}


@dataclass(frozen=True, eq=False)
class CodedTensor:
    """A tensor as a file stores it.

    Attributes:
        coding: name of the coding, a key of `CODINGS`.
        shape: shape of the decoded tensor.
        parameters: what the coding needs beside the arrays; written into the file's header.
        arrays: stored arrays by suffix: "" is the main one, "step" is stored as tensor "<name>.step". Their
            numpy types are those of `STORED`.
    """

    coding: str
    shape: tuple[int, ...]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Bytes of all stored arrays."""
        return sum(array.nbytes for array in self.arrays.values())

    @property
    def size(self) -> int:
        """Number of decoded values."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Coding:
    """One way to store a tensor.

    Attributes:
        suffixes: the arrays it stores; "" is the main one.
        parameters: names of the parameters it needs.
        check: raises FormatError unless the stored arrays fit the shape; allocates nothing.
        decode: the decoded tensor of a checked one.
        shape: shape of the decoded tensor, where it follows from the parameters and is not stored itself.
    """

    suffixes: tuple[str, ...]
    parameters: tuple[str, ...]
    check: Callable[[CodedTensor], None]
    decode: Callable[[CodedTensor], NDArray[Any]]
    shape: Callable[[Mapping[str, Parameter]], tuple[int, ...]] | None = None


def check_array(coded: CodedTensor, suffix: str, dtypes: tuple[str, ...], shape: tuple[int, ...]) -> None:
    """Check the type, one of `dtypes` of `STORED`, and the shape of a stored array.

    Raises:
        FormatError: it has others.
    """
    array = coded.arrays[suffix]
    named = f'array "{suffix}"' if suffix else "main array"
    if array.dtype not in [STORED[d] for d in dtypes]:
        raise FormatError(f"{named} has type {array.dtype}, wanted {' or '.join(dtypes)}")
    if array.shape != shape:
        raise FormatError(f"{named} has shape {array.shape}, wanted {shape}")
