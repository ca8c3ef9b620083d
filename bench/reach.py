"""When a fit reached a fidelity, from what was measured on the way, or when it might."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Below this a straight line through two checks says nothing: the worst shell is still noise.
_SIGNAL = 0.1
_FARTHEST = 1e8


@dataclass(frozen=True)
class Check:
    """A look at a fit on its way.

    Attributes:
        seconds: of training so far; looking is not counted.
        steps: of training so far.
        worst: lowest FSC of a shell that counts, of the network decoded on the whole grid.
        median: of the same shells.
    """

    seconds: float
    steps: int
    worst: float
    median: float = float("nan")


@dataclass(frozen=True)
class Reach:
    """When a target was, or might be, reached.

    Attributes:
        seconds: of training; None where nothing can be said.
        extrapolated: whether `seconds` lies beyond what was run.
        how: in words.
    """

    seconds: float | None
    extrapolated: bool
    how: str


def reach(checks: Sequence[Check], target: float) -> Reach:
    """When the worst shell reached `target`, or an extrapolation that says that it is one.

    Extrapolated by the straight line of arctanh(FSC) against log(seconds) through the last check and the one
    nearest to half its time, where both are above 0.1 and rising.

    Args:
        checks: in order of time, at least one.
        target: worst-shell FSC, 0 to 1.
    """
    for before, check in zip([None, *checks], checks, strict=False):
        if check.worst >= target:
            since = f", not yet at {before.seconds:.1f} s" if before else ""
            return Reach(check.seconds, False, f"measured: reached when looked at{since}")
    last = checks[-1]
    short = f"not reached: {last.worst:.3f} after {last.seconds:.0f} s"
    earlier = [check for check in checks[:-1] if check.worst > _SIGNAL and check.seconds > 0]
    if not earlier or last.worst <= _SIGNAL:
        return Reach(None, False, f"{short}; no estimate, too little signal yet")
    middle = min(earlier, key=lambda check: abs(check.seconds - last.seconds / 2))
    slope = (math.atanh(last.worst) - math.atanh(middle.worst)) / math.log(last.seconds / middle.seconds)
    if slope <= 0:
        return Reach(None, False, f"{short}, and no longer rising")
    exponent = (math.atanh(target) - math.atanh(last.worst)) / slope
    if exponent > math.log(_FARTHEST / last.seconds):
        return Reach(None, False, f"{short}; at its pace not in {_FARTHEST:.0e} s")
    return Reach(last.seconds * math.exp(exponent), True, f"EXTRAPOLATED from {last.seconds:.0f} s; {short}")
