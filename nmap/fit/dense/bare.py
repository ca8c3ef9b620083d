"""Training of a bare SIREN: its values are the density itself, at every position.

A decoder of a bare network filters nothing: what it shows between the samples is what the network gives there. So the
network is supervised at continuous positions. With each pass over the points the lattice is moved by a random part of
its spacing, and the targets are the source's trigonometric polynomial there, which the shift theorem gives exactly.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from nmap.errors import QualityError
from nmap.fit.dense.quantise import float16
from nmap.fit.dense.recipe import LAYERS, Recipe, choose_recipe, default_features
from nmap.fit.dense.shell_error import ShellError
from nmap.fit.dense.train import Training
from nmap.fit.device import Workers
from nmap.fit.options import EncodeOptions
from nmap.fit.progress import Watch
from nmap.fit.result import Result
from nmap.fit.target.prepare import F32, F64, Target
from nmap.model.frame import Frame
from nmap.neural_map import NeuralMap
from nmap.spectrum import crop_spectrum, invert, transform

# The SIREN authors' factor of every sine layer, which their code has built in.
_OMEGA = 30.0
# Parameters per degree of freedom of the box where no goal is given, and neurons at most: those of the thesis.
_DENSITY = 1 / 3
_MOST_FEATURES = 256
_LEAST_FEATURES = 4
# Training steps as a share of a plain network's inside an envelope: there are more points, and they are easier.
_STEPS = 0.5
# Bytes of a stored weight, a 16-bit float: on EMD-3488 that moves the worst shell by 0.0002.
_BYTES = 2
_BITS = 16
# The FSC is measured once in so many passes: it takes an evaluation of the lattice, a third of a pass.
_MEASURED_EVERY = 4


def bare_target(target: Target) -> Target:
    """The same target without whitening: the source less its solvent, of unit variance over the box."""
    spread = float(invert(target.truth, target.lattice.shape).std(dtype=np.float64))
    return replace(target, gains=np.ones_like(target.gains), scale=spread)


def bare_recipe(target: Target, options: EncodeOptions) -> Recipe:
    """The recipe of a bare network.

    Where no omega is given it is the SIREN authors' 30, and the first weights are so much wider at the start that the
    phases are those which the map's resolution asks for.

    Raises:
        QualityError: no network fits into the bytes that were given.
    """
    recipe = choose_recipe(target, options)
    spread, omega0 = 1.0, recipe.omega0
    if options.omega0 is None:
        spread, omega0 = omega0 / _OMEGA, _OMEGA
    return replace(
        recipe,
        features=_features(target, options),
        steps=options.steps or max(1, round(_STEPS * recipe.steps)),
        bits=_BITS,
        omega0=omega0,
        spread=spread,
        sized=options.hidden_features is None and options.target_fsc is not None,
    )


def _features(target: Target, options: EncodeOptions) -> int:
    """Neurons in a layer: those asked for, or what the bytes, the goal or else the map allow."""
    layers, wanted = options.hidden_layers or LAYERS, options.hidden_features
    most = options.goal_bytes(target.density.grid.size)
    if most is not None:
        room = _widest(most // _BYTES, layers)
        if room < (wanted or _LEAST_FEATURES):
            least = wanted or _LEAST_FEATURES
            raise QualityError(
                f"a bare network of {least} neurons in each of {layers + 1} layers takes "
                f"{_BYTES * _parameters(least, layers)} bytes, more than the {most} allowed: allow more"
            )
        return wanted or room
    if wanted is not None:
        return wanted
    if options.target_fsc is not None:
        return default_features(target.freedom, layers, options.target_fsc)
    return min(max(_widest(_DENSITY * target.freedom, layers), _LEAST_FEATURES), _MOST_FEATURES)


def _parameters(features: int, layers: int) -> int:
    """Parameters of a network 3-n-...-n-1 with so many hidden layers after the first."""
    return layers * features**2 + (layers + 5) * features + 1


def _widest(parameters: float, layers: int) -> int:
    """Neurons in a layer of the widest network of so many parameters at most; 0 where there is none."""
    linear = layers + 5
    return int(max(math.sqrt(linear**2 + 4 * layers * max(parameters - 1, 0)) - linear, 0) / (2 * layers))


class _MovedError(ShellError):
    """Targets and FSC on a lattice that is moved by a part of its spacing.

    Args:
        target: what to fit.
        device: torch device.
    """

    def __init__(self, target: Target, device: torch.device) -> None:
        super().__init__(target, device)
        nz, ny, nx = target.lattice.shape
        turns = (np.fft.fftfreq(nz), np.fft.fftfreq(ny), np.fft.rfftfreq(nx))
        self._turns = tuple(torch.from_numpy(along).to(device) for along in turns)
        self.move((0.0, 0.0, 0.0))

    def move(self, steps: tuple[float, ...]) -> None:
        """Put the lattice this far, (z, y, x) in its spacings, from where its own points lie."""
        z, y, x = (
            torch.polar(torch.ones_like(turns), 2 * math.pi * step * turns).to(torch.complex64)
            for turns, step in zip(self._turns, steps, strict=True)
        )
        self._phase = (z[:, None, None] * y[:, None] * x).reshape(-1)[self.band]

    def targets(self) -> Tensor:
        """What the network should be at the points, (n,)."""
        return self.waves(self.wanted)

    def modes(self, values: Tensor) -> Tensor:
        """Modes of values at the moved points."""
        return super().modes(values) * self._phase.conj()

    def waves(self, modes: Tensor) -> Tensor:
        """Values of modes at the moved points."""
        return super().waves(modes * self._phase)


class BareTraining(Training):
    """A bare network in training.

    Args:
        target: what to fit.
        recipe: how.
        device: where.
        workers: share the work out.
        watch: reports progress; says when to end.
    """

    def __init__(
        self, target: Target, recipe: Recipe, device: torch.device, workers: Workers, watch: Watch
    ) -> None:
        super().__init__(target, recipe, device, workers, watch)
        self._moved = _MovedError(target, device)
        self._at_lattice = self._t.clone()
        counts = np.asarray(target.lattice.shape)
        spacing = (counts > 1) / (counts * np.asarray(target.half_width))
        self._spacing = torch.from_numpy(spacing.astype(np.float32)).to(device)
        self._passes, self._last_fsc = 0, np.zeros(target.last + 1)

    def evaluation_seconds(self) -> float:
        """Seconds that one evaluation of the lattice and of the source's grid takes, halved."""
        self._passes = 0
        lattice, grid = self.target.lattice.size, self.target.density.grid.size
        return super().evaluation_seconds() * (1 + grid / lattice) / 2

    def _targets(self) -> F64:
        """Move the lattice and renew the targets; the fidelity FSC by shell, as it was last measured."""
        steps = torch.rand(3, generator=self._random)
        self._moved.move(tuple(steps.tolist()))
        self._t.copy_(self._at_lattice + steps.to(self._device) * self._spacing)
        self._wanted.copy_(self._moved.targets())
        if self._passes % _MEASURED_EVERY == 0:
            self._last_fsc = self._moved.fsc(self._moved.modes(self._evaluated()))
            self._note_fsc(self._moved.worst(self._last_fsc))
        self._passes += 1
        return self._last_fsc

    def _follow(self, fsc: F64) -> None:
        """Leave the targets as they are: no gain could undo what changes them."""

    def stored(self) -> Result:
        """The network as 16-bit floats, measured as a decoder sees it on the source's grid."""
        target, box = self.target, self.target.density.grid
        tensors = {name: float16(values) for name, values in self._in_box().items()}
        frame = Frame(box, offset=target.solvent, scale=target.scale)
        neural_map = NeuralMap.from_tensors(self.recipe.kind, self.settings, tensors, frame)
        decoded = neural_map.as_array() - np.float32(target.solvent)
        spectrum = crop_spectrum(transform(decoded), box.shape, target.lattice.shape)
        curve = target.fidelity(spectrum)
        return Result(neural_map, curve, float(curve.worst(target.band_limit)))

    def _in_box(self) -> dict[str, F32]:
        """Parameters for coordinates that go from -1 to 1 along each of the box's own edges.

        In training one unit is as long on each axis, so that the first weights may begin alike.
        """
        parameters = {name: p.detach().cpu().numpy() for name, p in self.parameters.items()}
        wide = np.asarray(self.target.lattice.shape) > 1
        factor = wide * 0.5 / np.asarray(self.target.half_width)
        return {**parameters, "first.weight": (parameters["first.weight"] * factor).astype(np.float32)}
