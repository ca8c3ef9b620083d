"""The layers of a SIREN in the arrays of a weights file, whatever their program called them.

A layer is a matrix called `weight` and, mostly, a vector called `bias` under one name; the names are put in
order by the numbers in them, and one with the word "last", "final" or "out" comes last. Layouts that are read
so: the SIREN authors' notebook (`net.N.linear`, `net.N`) and repository (`net.net.N.0`), siren-pytorch
(`net.layers.N`, `net.last_layer`), a plain `Sequential` (`N`), `seq.N.linear`; each with any prefix.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmap.errors import FormatError

Array = NDArray[Any]

_WRAPPERS = ("module.", "_orig_mod.")
"""What torch's DataParallel and `torch.compile` put before every name."""
_NAME = re.compile(r"(?:(.*)\.)?(weight|bias)")
_LAST = re.compile(r"last|final|out|head")
_OMEGA = re.compile(r"omega|(?:^|[._])w_?0", re.IGNORECASE)
_FIRST = re.compile("first|initial", re.IGNORECASE)
_HIDDEN = re.compile("hidden", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Layers:
    """Weights and biases of a network of equal sine layers and an output.

    Attributes:
        weights: of each layer, (out, in).
        biases: of each layer, (out,).
        output: "sine" where the last layer is named as the sine layers before it are, which other than it are
            not; else "linear".
        omegas: factors that lay in the file, one for each layer; None where there were none.
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    output: str
    omegas: tuple[float, ...] | None


def find_layers(
    arrays: Mapping[str, Array], numbers: Mapping[str, float], name: str, *, is_image: bool = False
) -> Layers:
    """The layers of a network, checked to fit each other.

    Args:
        arrays: by their names in the file.
        numbers: plain numbers that lay beside them.
        name: of the file, for what is refused.
        is_image: whether a network of two coordinates has a place.

    Raises:
        FormatError: an array that has no place, layers that are missing or do not chain, values that are no
            finite floating-point numbers.
    """
    plain = {_unwrapped(key): values for key, values in arrays.items()}
    omegas = {key: values for key, values in plain.items() if values.size == 1 and _OMEGA.search(key)}
    layers: dict[str, dict[str, Array]] = {}
    for key, values in plain.items():
        if key in omegas:
            continue
        match = _NAME.fullmatch(key)
        if match is not None:
            layers.setdefault(match[1] or "", {})[match[2]] = values
        else:
            raise FormatError(
                f"{name}: array {key!r:.60}: wanted only weights, biases and omegas of layers, such as "
                "net.0.linear.weight"
            )
    stray = [key for key, layer in layers.items() if "weight" in layer and layer["weight"].ndim != 2]
    if stray:
        raise FormatError(
            f"{name}: {stray[0]}.weight has shape {layers[stray[0]]['weight'].shape}: wanted a matrix"
        )
    order = sorted(layers, key=_place)
    if len(order) < 2:
        raise FormatError(f"{name}: {len(order)} layers: wanted two or more, such as net.0.linear and net.1")
    _check_numbers(order, name)
    weights, biases = _chained([layers[key] for key in order], order, name, is_image)
    found = {key: float(values.reshape(-1)[0]) for key, values in omegas.items()}
    found |= {key: value for key, value in numbers.items() if _OMEGA.search(key)}
    return Layers(tuple(weights), tuple(biases), _output(order, name), _omegas(found, order, name))


def _unwrapped(key: str) -> str:
    while key.startswith(_WRAPPERS):
        key = key.split(".", 1)[1]
    return key


def _place(layer: str) -> tuple[bool, list[tuple[int, str]]]:
    """Where a layer comes: by the numbers in its name, and the one that is called the last behind them."""
    parts = layer.split(".")
    numbered = [(int(part), "") if part.isdecimal() else (-1, part) for part in parts if len(part) < 10]
    return bool(_LAST.search(parts[-1]) or (len(parts) > 1 and _LAST.search(parts[-2]))), numbered


def _check_numbers(order: list[str], name: str) -> None:
    """Refuse a gap: numbers that go up by one, or by two where activations lie between, but not by both."""
    numbers = [_number(layer) for layer in order]
    known = [number for number in numbers if number is not None]
    steps = {b - a for a, b in pairwise(known)}
    if (
        len(known) < len(order) - 1
        or len(steps) > 1
        or (steps and min(steps) < 1)
        or (known and known[0] > 1)
    ):
        raise FormatError(f"{name}: layers {', '.join(order)[:120]}: wanted net.0, net.1, ... of one network")


def _number(layer: str) -> int | None:
    """The number of a layer: the first in its name that is not one of a module within it."""
    numbers = [int(part) for part in layer.split(".") if part.isdecimal() and len(part) < 10]
    return numbers[0] if numbers else None


def _chained(
    layers: list[dict[str, Array]], order: list[str], name: str, is_image: bool
) -> tuple[list[Array], list[Array]]:
    """Weights and biases, each layer as wide as the next wants it; biases that no layer has are zero."""
    weights, biases = [], []
    coordinates = (2, 3) if is_image else (3,)
    without = [key for key, layer in zip(order, layers, strict=True) if "bias" not in layer]
    if without and len(without) < len(order) and without != order[-1:]:
        raise FormatError(f"{name}: {without[0]} lacks its bias: wanted one for each layer, or none")
    width = 0
    for number, (key, layer) in enumerate(zip(order, layers, strict=True)):
        weight = layer.get("weight")
        if weight is None:
            raise FormatError(f"{name}: {key} lacks its weight: wanted weight and bias for each layer")
        rows = 1 if number == len(order) - 1 else width or weight.shape[0]
        bias = layer.get("bias", np.zeros(rows, np.float32))
        columns = width or (weight.shape[1] if weight.shape[1] in coordinates else 3)
        if weight.shape != (rows, columns) or bias.shape != (rows,) or not rows:
            image = number == 0 and weight.shape[1] == 2
            advice = "; an image is read on a grid of one section, such as `shape` 200,200,1" if image else ""
            raise FormatError(
                f"{name}: {key} has weight {weight.shape} and bias {bias.shape}: "
                f"wanted {(rows, columns)} and ({rows},){advice}"
            )
        for values in (weight, bias):
            with np.errstate(over="ignore"):
                sound = values.dtype.kind == "f" and np.isfinite(values.astype(np.float32)).all()
            if not sound:
                raise FormatError(
                    f"{name}: {key} holds {values.dtype} values: wanted floating-point numbers, finite in float32"
                )
        width = rows
        weights.append(weight)
        biases.append(bias)
    return weights, biases


def _output(order: list[str], name: str) -> str:
    """Whether the last layer is a sine layer: only the notebook's names tell."""
    inner, last = [key.endswith("linear") for key in order[:-1]], order[-1].endswith("linear")
    if any(inner) and not all(inner):
        raise FormatError(
            f"{name}: a layer before the last is not named net.N.linear: wanted sine layers there"
        )
    return "sine" if last and all(inner) else "linear"


def _omegas(found: Mapping[str, float], order: list[str], name: str) -> tuple[float, ...] | None:
    """A factor for each layer: its own, else the one that is called the first or hidden, else the only one."""
    if not found:
        return None
    homes = [layer.removesuffix(".linear").removesuffix(".0") + "." for layer in order]
    own = {key: home for key in found for home in homes if home != "." and key.startswith(home)}
    common = {key: value for key, value in found.items() if key not in own}
    called_first = [value for key, value in common.items() if _FIRST.search(key)]
    called_hidden = [value for key, value in common.items() if _HIDDEN.search(key)]
    plain = [v for key, v in common.items() if not (_FIRST.search(key) or _HIDDEN.search(key))]
    factors: list[float] = []
    for number, home in enumerate(homes):
        mine = [found[key] for key, place in own.items() if place == home]
        named = (
            (called_hidden or plain or called_first) if number else (called_first or plain or called_hidden)
        )
        choice = mine or named or factors[-1:]
        if len(set(choice)) != 1:
            listed = ", ".join(f"{key} {value:g}" for key, value in found.items())
            raise FormatError(f"{name}: omegas {listed[:120]}: cannot be told to layers: give `omega`")
        factors.append(choice[0])
    return tuple(factors)
