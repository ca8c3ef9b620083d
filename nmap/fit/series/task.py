"""What the trainer of a series is given, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass

from nmap.axis import Axis
from nmap.fit.result import Result
from nmap.fit.series.motion import Found
from nmap.fit.target.goal import ShellGoal
from nmap.fit.target.prepare import F64, Target
from nmap.fit.task import Task
from nmap.maps import DensityMap
from nmap.spectrum import ShellCurve


@dataclass(frozen=True, eq=False)
class SeriesTask(Task):
    """One fit of a series; `target` is that of the first frame.

    Attributes:
        targets: what to fit, a target for each frame; alike in all but the densities.
        axis: where the frames lie.
        components: functions of the axis.
        effective: effective number of them, by their shares of the power; at least 1.
        goal: of every frame.
        weights: times as much weight as the goal gives each shell, for what lies between frames, (last + 1,).
        motion: how the molecule moves; the targets are then those of the molecule at rest. None for no motion.
        sources: the frames themselves, as they are fitted; empty where these are the targets.
        shared: functions of the axis that noisy frames share in some shell; what they share is the target then. None
            for no noise.
    """

    targets: tuple[Target, ...]
    axis: Axis
    components: int
    effective: float
    goal: ShellGoal
    weights: F64
    motion: Found | None = None
    sources: tuple[DensityMap, ...] = ()
    shared: int | None = None

    @property
    def limit(self) -> float:
        """Band limit of the frames, Angstrom; what is fitted may be finer."""
        return self.target.band_limit if self.motion is None else self.motion.limit


@dataclass(frozen=True, eq=False)
class SeriesResult(Result):
    """A coded series; `curve` is that of the frame with the worst shell.

    Attributes:
        curves: fidelity FSC of each frame.
        shared_worst: the same as `worst`, with what frames share, where those differ by noise; else `worst`.
    """

    curves: tuple[ShellCurve, ...] = ()
    shared_worst: float = 0.0

    def worst_of(self, frame: int, band_limit: float) -> float:
        """Lowest shell of a frame within the band limit."""
        return float(self.curves[frame].worst(band_limit))
