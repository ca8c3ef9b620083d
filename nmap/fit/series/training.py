"""Training a series SIREN: that of a block SIREN, its error summed over the frames, its goal that of the worst frame.

The network has an output for each function of the axis. A frame is the sum of these, times the functions' values
there; so all frames are trained in every step, at the cost of little more than one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmap.axis import Axis
from nmap.fit.blocks.layout import Layout
from nmap.fit.blocks.rate import Rate
from nmap.fit.blocks.recipe import BlockRecipe
from nmap.fit.blocks.training import IN_BAND, BlockTraining
from nmap.fit.device import Workers
from nmap.fit.progress import Watch
from nmap.fit.series.frame_errors import FrameErrors
from nmap.fit.series.network import SeriesNetwork
from nmap.fit.series.parameters import SeriesParameters
from nmap.fit.series.waves import SeriesWaves
from nmap.fit.target.goal import ShellGoal
from nmap.fit.target.prepare import F64, Target

# Components that hold a good part of a series, for each root of the number of frames.
_MOVING = 2.0


class SeriesTraining(BlockTraining):
    """A series SIREN in training.

    Args:
        targets: what to fit, a target for each frame.
        axis: where they lie.
        components: functions of the axis.
        effective: effective number of them, by their shares of the power.
        layout: where, the same in all frames.
        recipe: how.
        goal: what each shell of each frame owes.
        device: where it computes.
        workers: share the work out.
        watch: reports progress; says when to end.
        more: times as much weight as the goal gives each shell, for what lies between frames, (last + 1,).
    """

    def __init__(
        self,
        targets: Sequence[Target],
        axis: Axis,
        components: int,
        effective: float,
        layout: Layout,
        recipe: BlockRecipe,
        goal: ShellGoal,
        device: torch.device,
        workers: Workers,
        watch: Watch,
        more: F64,
    ) -> None:
        self.components = components
        super().__init__(targets[0], layout, recipe, goal, device, workers, watch, more)
        functions = axis.at_frames(components)
        self.parameters = SeriesParameters(recipe.sizes, components, self.omegas, self._random, device)

        def there(values: NDArray[np.floating]) -> Tensor:
            return torch.from_numpy(values.astype(np.float32)).to(device)

        self._network = SeriesNetwork(self.parameters, there(functions.T @ functions), workers, device)
        self._rate = Rate(self.parameters)
        self._frames = FrameErrors(targets, functions, self._error, device)
        self._counted = self._frames.counted
        # An error in a component is one in all frames, and so many of them share the error that a frame may have.
        shared = min(effective, _MOVING * math.sqrt(len(targets)))
        self._first_lambda = self.lambda_ = self._first_lambda * len(targets) / shared
        self._boost = np.zeros((len(targets), targets[0].last + 1))
        self._weights = np.broadcast_to(self._weights, self._boost.shape)

    def _waves_of(self, target: Target, layout: Layout) -> SeriesWaves:
        sizes, goal = self.recipe.sizes, self.recipe.goal
        return SeriesWaves(target, layout, sizes.waves, goal, self.components)

    def evaluation_seconds(self) -> float:
        """Seconds that one evaluation of all frames takes."""
        begin = self._watch.seconds
        self._rounded()
        self._lacks(self._component_modes(self._network_values()), None)
        return self._watch.seconds - begin

    def _network_values(self) -> Tensor:
        """U m of each function of the network alone at the positions, (m, components)."""
        out = torch.zeros(len(self._mask), self.components, device=self._device)
        out[self._table[self._filled]] = self._network.values(self._x)[self._filled]
        return out * self._mask[:, None]

    def _component_modes(self, values: Tensor) -> Tensor:
        """Modes within the band limit of values (m, components) of u m, (components, modes)."""
        return torch.stack([self._modes(column.contiguous()) for column in values.unbind(1)])

    def _lacks(self, modes: Tensor, weights: F64 | None) -> Tensor:
        """What the components lack for the frames, each shell of a frame times its weight, (m, components)."""
        total = self._frames.lacking(modes, weights)
        return torch.stack([self._at_positions(self._error.waves(component)) for component in total], 1)

    def _evaluate(self, now: float) -> None:
        """Renew all that an evaluation of the frames tells, and keep the state if it is the best one."""
        whole, steps = self._rounded()
        self._rate.renew(self.parameters.flat / steps)
        network = self._network_values()
        modes = self._component_modes(network + self.waves.values().to(self._device))
        modes = modes + self._component_modes(self.waves.follow(self._lacks(modes, None)))
        self._wanted = network + self._lacks(modes, self._weights) / IN_BAND
        self._learn(now, whole, self._frames.fsc(modes))
