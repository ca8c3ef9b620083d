"""What another kind of network would take for the map of a file: estimates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nmap.goal import MISSED
from nmap.inspection import Inspection
from nmap.model.kinds import KINDS
from nmap.model.network import Network

# Seconds of an encode besides fitting, measured on two CPU cores: program start and torch, and preparing a voxel.
_START = 3.0
_VOXEL = 6e-7


@dataclass(frozen=True)
class Alternative:
    """Another kind of network at the same fidelity.

    Attributes:
        kind: its name.
        arch: the name by which `encode` takes it.
        nbytes: of the whole file, estimated.
        seconds: of the whole fit, estimated from those of this one; None where these are not known.
    """

    kind: str
    arch: str
    nbytes: int
    seconds: float | None

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"kind": self.kind, "arch": self.arch, "bytes": self.nbytes, "seconds": self.seconds}


def alternatives(found: Inspection, seconds: float | None = None) -> list[Alternative]:
    """The kinds that this file's could be exchanged for.

    Args:
        found: the file.
        seconds: that its fit took on this machine.
    """
    own = type(found.neural_map.field.network)
    fit, fsc = found.record.get("fit", {}), found.record.get("fidelity", {}).get("worst")
    settings = fit.get("settings", {})
    freedom = settings.get("freedom") if isinstance(settings, Mapping) else None
    if own.cost is None or not isinstance(freedom, int | float) or not isinstance(fsc, int | float):
        return []
    # With half maps and where a goal was missed the other kind's figures would be of something else.
    asked_more = "half_map_fsc" in found.record.get("fidelity", {}) or any(
        isinstance(notice, Mapping) and notice.get("code") in MISSED for notice in found.notices
    )
    if asked_more or not (freedom > 0 and fsc > 0):
        return []
    group = found.neural_map.field.symmetry
    freedom /= 1 if group is None else group.order
    rest = found.sizes["total"] - found.sizes["weights"]
    start = _START + _VOXEL * found.grid.size
    usual = start + own.cost.at(freedom, fsc)[1]

    def other(kind: type[Network]) -> Alternative:
        assert kind.cost is not None
        nbytes, fitting = kind.cost.at(freedom, fsc)
        taken = None if seconds is None else seconds * (start + fitting) / usual
        return Alternative(kind.kind, kind.arch or kind.kind, round(rest + nbytes), taken)

    return [other(kind) for kind in KINDS.values() if kind is not own and kind.cost is not None]
