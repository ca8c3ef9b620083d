"""What the trainer of a series is given, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field

from nmap.axis import Axis
from nmap.fit.result import Result
from nmap.fit.target.prepare import Target
from nmap.fit.task import Task
from nmap.spectrum import ShellCurve


@dataclass(frozen=True, eq=False)
class SeriesTask(Task):
    """One fit of a series; `target` is that of the first frame.

    Attributes:
        targets: what to fit, a target for each frame; alike in all but the densities.
        axis: where the frames lie.
        components: functions of the axis.
    """

    targets: tuple[Target, ...] = ()
    axis: Axis = field(default_factory=lambda: Axis((0.0, 1.0)))
    components: int = 1


@dataclass(frozen=True, eq=False)
class SeriesResult(Result):
    """A coded series; `curve` is that of the frame with the worst shell.

    Attributes:
        curves: fidelity FSC of each frame.
    """

    curves: tuple[ShellCurve, ...] = ()

    def worst_of(self, frame: int, band_limit: float) -> float:
        """Lowest shell of a frame within the band limit."""
        return float(self.curves[frame].worst(band_limit))
