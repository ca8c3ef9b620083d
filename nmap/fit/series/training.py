"""Training a series SIREN: the training of a block SIREN, one frame in each step, its goal that of the worst frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nmap.axis import Axis
from nmap.fit.blocks.layout import Layout
from nmap.fit.blocks.network import Batch
from nmap.fit.blocks.rate import Rate
from nmap.fit.blocks.recipe import BlockRecipe
from nmap.fit.blocks.training import IN_BAND, Adam, BlockTraining
from nmap.fit.dense.shell_error import ShellError
from nmap.fit.device import Workers
from nmap.fit.progress import Watch
from nmap.fit.series.network import SeriesNetwork
from nmap.fit.series.parameters import SeriesParameters
from nmap.fit.series.waves import SeriesWaves
from nmap.fit.target.prepare import Target

# Frames that are evaluated, and then trained, together, at most.
_TOGETHER = 4


class SeriesTraining(BlockTraining):
    """A series SIREN in training.

    Args:
        targets: what to fit, a target for each frame.
        axis: where they lie.
        components: functions of the axis.
        layout: where, the same in all frames.
        recipe: how; a pass takes in all frames.
        device: where it computes.
        workers: share the work out.
        watch: reports progress; says when to end.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        axis: Axis,
        components: int,
        layout: Layout,
        recipe: BlockRecipe,
        device: torch.device,
        workers: Workers,
        watch: Watch,
    ) -> None:
        super().__init__(targets[0], layout, recipe, device, workers, watch)
        functions = axis.at_frames(components)
        self.frames, self.components = len(targets), components
        self.parameters = SeriesParameters(recipe.sizes, components, self.omegas, self._random, device)
        there = torch.from_numpy(functions.astype(np.float32)).to(device)
        self._network = self._series = SeriesNetwork(self.parameters, there, workers, device)
        self._rate = Rate(self.parameters)
        places = layout.places
        self._errors = [ShellError(target, device, places.flat, places.mask) for target in targets]
        self._counted = np.stack([error.counted for error in self._errors])
        self.waves = SeriesWaves(targets[0], layout, recipe.sizes.waves, recipe.goal, functions)
        self._boost = np.zeros((self.frames, targets[0].last + 1))
        self._weights = np.ones_like(self._boost)
        self._strides, self._stride = groups(self.frames), 0
        self._wanted = torch.zeros(0, device=device)

    def evaluation_seconds(self) -> float:
        """Seconds that one evaluation of all frames takes."""
        begin = self._watch.seconds
        self._rounded()
        self._lacking(self._frame(0, self.waves.values().to(self._device))[1], self._even)
        return self.frames * (self._watch.seconds - begin)

    def _evaluate(self, now: float) -> None:
        """Evaluate the frames that the next steps are about; all frames once a pass."""
        whole, steps = self._rounded()
        self._rate.renew(self.parameters.flat / steps)
        if self._stride == 0 or now > 1:
            self._evaluate_all(now, whole)
        # Frames far from each other: what they have in common is the series, and tells its functions apart.
        frames = list(range(self._stride, self.frames, self._strides))
        self._stride = (self._stride + 1) % self._strides
        waves = self.waves.values().to(self._device)
        wanted = []
        for frame in frames:
            values, modes = self._frame(frame, waves)
            wanted.append(values + self._lacking(modes, self._weights[frame]) / IN_BAND)
        self._wanted = torch.cat(wanted)
        self._series.turn_to(frames)

    def _evaluate_all(self, now: float, whole: Tensor) -> None:
        """Renew all that an evaluation of all frames tells, and keep the state if it is the best one."""
        waves = self.waves.values().to(self._device)
        modes, lacking = [], []
        for frame in range(self.frames):
            modes.append(self._frame(frame, waves)[1])
            lacking.append(self._lacking(modes[frame], None))
        changed = self.waves.follow(torch.stack(lacking))
        fsc = np.empty_like(self._boost)
        for frame, error in enumerate(self._errors):
            self._error = error
            fsc[frame] = error.fsc(modes[frame] + self._modes(changed[frame]))
        self._learn(now, whole, fsc)

    def _frame(self, frame: int, waves: Tensor) -> tuple[Tensor, Tensor]:
        """Values of the network in a frame, (m,), and the modes of these and the waves."""
        self._series.turn_to([frame])
        self._error = self._errors[frame]
        values = self._network_values()
        return values, self._modes(values + waves[frame])

    def _step(self, adam: Adam, batch: Batch, now: float) -> Tensor:
        """One step on a batch in each of the frames that are trained together."""
        count, size = len(self._wanted) // len(self._mask), len(self._mask)
        position = torch.cat([batch.position + place * size for place in range(count)])
        several = Batch(
            batch.x.repeat(count, 1, 1), batch.mask.repeat(count, 1), batch.weight.repeat(count, 1), position
        )
        # Each frame is trained in one of so many groups.
        self._share = self._batches * self.frames / count
        return super()._step(adam, several, now)


def groups(frames: int) -> int:
    """How many groups frames are trained in."""
    return -(-frames // _TOGETHER)
