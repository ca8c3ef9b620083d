"""Weights as a file stores them: during training, and at its end as the `NeuralMap` that a decoder sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmap.coding.codings import CodedTensor, encode_float, encode_log, encode_uniform
from nmap.fit.dense.recipe import Recipe
from nmap.fit.options import GainRule
from nmap.fit.result import Result
from nmap.fit.target.gains import shell_gains
from nmap.fit.target.prepare import F32, F64, Target
from nmap.model.frame import Frame
from nmap.neural_map import NeuralMap
from nmap.point_group import PointGroup
from nmap.spectrum import Complex, invert, transform

# A fitted gain is at most so many times the one trained with; below so small a part of it, it is nothing.
_MOST_GAIN = 3.0
_LEAST_GAIN = 1e-3


def row_steps(weight: Tensor, bits: int) -> Tensor:
    """Steps (layers, rows, 1) of least squared error for each row of (layers, rows, columns), float16 exact."""
    coded = encode_uniform(weight.detach().cpu().numpy(), bits)
    return torch.from_numpy(coded.arrays["step"].astype(np.float32))[..., None].to(weight.device)


def as_stored(parameters: Mapping[str, Tensor], steps: Tensor, bits: int) -> dict[str, Tensor]:
    """Parameters rounded as `coded_tensors` will store them; gradients by these move the unrounded ones."""
    half = 1 << (bits - 1)
    out = {name: p.half().float() for name, p in parameters.items() if name != "hidden.weight"}
    levels = torch.where(steps > 0, parameters["hidden.weight"] / steps.clamp_min(1e-30), 0.0)
    out["hidden.weight"] = levels.round_().clamp_(-half, half - 1) * steps
    return out


def coded_tensors(
    parameters: Mapping[str, F32], recipe: Recipe, steps: NDArray[np.floating] | None
) -> dict[str, CodedTensor]:
    """Network parameters coded for the file: float16, and the hidden weights in the recipe's bits.

    Args:
        parameters: by name.
        recipe: tells the bits.
        steps: of each row of the hidden weights, trained with; None picks those of least squared error.
    """
    coded = {name: float16(values) for name, values in parameters.items() if name != "hidden.weight"}
    hidden = parameters["hidden.weight"]
    if recipe.bits <= 8:
        coded["hidden.weight"] = encode_uniform(hidden, recipe.bits, steps)
    else:
        coded["hidden.weight"] = float16(hidden)
    return coded


def float16(values: F32) -> CodedTensor:
    """A tensor as 16-bit floats, or as 32-bit ones where it has values beyond those."""
    fits = float(np.abs(values).max(initial=0)) < np.finfo(np.float16).max
    return encode_float(values, "F16" if fits else "F32")


def finish(
    target: Target,
    kind: str,
    settings: Mapping[str, Any],
    tensors: Mapping[str, CodedTensor],
    rule: GainRule,
    symmetry: PointGroup | None = None,
) -> Result:
    """The map of coded tensors, with the gains, scale and offset that suit the decoded ones best.

    Args:
        target: what was fitted.
        kind: of the network.
        settings: of the network.
        tensors: coded network parameters.
        rule: how strong shells are.
        symmetry: point group that it was fitted with; None for C1.
    """

    def assembled(tensors: Mapping[str, CodedTensor], scale: float, offset: float) -> NeuralMap:
        frame = frame_of(target, symmetry, scale, offset)
        return NeuralMap.from_tensors(kind, settings, tensors, frame)

    tensors = {**tensors, **target.coded_envelope}
    trial = assembled({**tensors, "gains": target.coded_gains}, target.scale, target.solvent)
    spectrum = transform(trial.field.lattice_values())
    gains = fitted_gains([target], [spectrum], rule)
    scale = float(gains.max())
    coded = encode_log((gains / scale).astype(np.float32))
    stored = {**tensors, "gains": coded}
    decoded = assembled(stored, 1.0, 0.0).field.gains
    if decoded is None:
        raise AssertionError("gains were stored")
    shape = target.lattice.shape
    field, truth = invert(spectrum * target.shells.spread(decoded), shape), invert(target.truth, shape)
    if rule == "least-squares":
        scale, offset = _line(field, truth)
    else:
        offset = float(truth.mean(dtype=np.float64)) - scale * float(field.mean(dtype=np.float64))
    neural_map = assembled(stored, scale, target.solvent + offset)
    curve = target.fidelity(spectrum * target.shells.spread(decoded))
    return Result(neural_map, curve, float(curve.worst(target.band_limit)))


def frame_of(target: Target, symmetry: PointGroup | None, scale: float, offset: float) -> Frame:
    """The frame of a network fitted to a target, with this scale and offset, density units."""
    return Frame(
        target.density.grid,
        center=target.center,
        half_width=target.half_width,
        offset=offset,
        scale=scale,
        band_limit=target.band_limit,
        lattice=target.lattice.shape,
        symmetry=symmetry,
    )


def fitted_gains(targets: Sequence[Target], spectra: Sequence[Complex], rule: GainRule) -> F64:
    """Gain of each shell by the rule, near the one that was trained with.

    Args:
        targets: what was fitted: one map, or the frames of a series, which have the same gains.
        spectra: half transforms of m . u on the lattice, one for each.
        rule: how strong shells are.
    """
    first = targets[0]
    last, shells = first.last + 1, first.shells
    cross, power, wanted = np.zeros(last), np.zeros(last), np.zeros(last)
    for target, spectrum in zip(targets, spectra, strict=True):
        cross += shells.sum((spectrum * target.truth.conj()).real)[:last]
        power += shells.sum(np.abs(spectrum) ** 2)[:last]
        wanted += shells.sum(np.abs(target.truth) ** 2)[:last]
    trained = first.gains.astype(np.float64) * first.scale
    fitted = np.where(power > 0, shell_gains(cross, power, wanted, rule), trained)
    if not 0 < fitted[0] < _MOST_GAIN * trained[0]:
        fitted[0] = trained[0]  # one mode, the mean, which the offset can mend
    return np.where(fitted > _LEAST_GAIN * trained, np.minimum(fitted, _MOST_GAIN * trained), 0)


def _line(field: F32, truth: F32) -> tuple[float, float]:
    """Scale and offset of least squared error, truth = scale * field + offset."""
    x, y = field.astype(np.float64), truth.astype(np.float64)
    spread = float(((x - x.mean()) ** 2).mean())
    scale = float(((x - x.mean()) * (y - y.mean())).mean()) / spread if spread > 0 else 1.0
    return scale, float(y.mean() - scale * x.mean())
