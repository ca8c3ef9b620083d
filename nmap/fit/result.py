"""What a trainer gives back, whatever the kind of network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nmap.neural_map import NeuralMap
from nmap.spectrum import ShellCurve


@dataclass(frozen=True, eq=False)
class Result:
    """A coded network and what it is worth.

    Attributes:
        neural_map: as a decoder sees it, without a record.
        curve: fidelity FSC by shell against the target's reference.
        worst: the lowest of its shells within the band limit.
    """

    neural_map: NeuralMap
    curve: ShellCurve
    worst: float


@dataclass(frozen=True, eq=False)
class History:
    """How a fit went.

    Attributes:
        steps: training steps, or sweeps.
        settings: those that the fit chose, JSON values.
        loss: pairs of step and loss.
        fsc: pairs of step and worst-shell fidelity FSC.
    """

    steps: int
    settings: dict[str, Any]
    loss: list[tuple[int, float]] = field(default_factory=list)
    fsc: list[tuple[int, float]] = field(default_factory=list)
