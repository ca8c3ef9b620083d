"""What the frames of a series owe, so that what is decoded between them is no worse than a straight line between maps.

Where parts move by a distance d from one frame to the next, the mean of two neighbours misses a share of the power
halfway between them that grows as (d / resolution)^4: next to nothing in coarse shells. Those have few numbers, so
they are given weight by that. Finer shells owe the goal alone: where a line misses more than the goal lets be missing,
and where it would cost too many bits. Second differences tell small distances only; beyond, the power law does.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nmap.axis import Axis, most_components
from nmap.fit.options import EncodeOptions
from nmap.fit.series.products import function_powers, shell_powers
from nmap.fit.series.shared import Shared
from nmap.fit.target.goal import ShellGoal
from nmap.fit.target.prepare import Target

F64 = NDArray[np.float64]

# Least share of a shell's power that may be missing: a correlation of 0.99975.
_LEAST = 5e-4
# A line's miss is told from second differences up to this share; those of maps with nothing in common come to 0.09.
# In finer shells it grows as the first of these powers of the frequency that the bits allow.
_TOLD = 0.03
_GROWS = (4, 6, 8, 12)
# Of what a line misses, and of the noise by which the mean of two maps is beyond the file, a frame may miss so much:
# what lies between frames has the error of the interpolation and of the motion too. The first of these that the bits
# allow counts; else the last, as far as the bits go.
_SHARES = ((0.4, 0.1), (0.5, 0.25))
# Bits that coarse shells may cost beyond those of the goal, as a share of these at this goal; at others they change by
# the root.
_MORE_BITS = 0.1
_MORE_AT = 0.995
# Functions of the axis that are not fitted leave so much missing at most, in the mean of the frames: of what the goal
# allows, and of what is owed. Each function that is fitted costs bytes and time.
_LEFT_OF_GOAL = 0.7
_LEFT = 0.7


def missed_by_line(products: F64, axis: Axis, shared: Shared | None = None) -> F64:
    """Share of each shell's power that a line between two frames misses halfway across the widest gap, (shells,).

    A line misses half the second derivative times the square of half the gap; that half is the frames' second divided
    difference, taken over each three frames in a row. Of two frames nothing is known: 1.

    Args:
        products: of the frames, not moved back.
        axis: where they lie.
        shared: what noisy frames share; noise is not counted as missed.
    """
    count = len(axis.at)
    noise = np.zeros(len(products))
    if shared is not None:
        # There may be products of fewer shells at rest, or of more.
        last = min(len(noise), len(shared.noise))
        noise[:last] = shared.noise[:last]
    places, number = axis.places, np.arange(count)
    if axis.period is not None:
        places, number = np.append(places, places[1] + places[-1]), np.append(number, [0, 1])
    widest = float(np.diff(places[: count + 1]).max())
    power, missed, noisy = shell_powers(products), [], []
    for first in range(len(places) - 2):
        a, b, c = places[first : first + 3]
        near = number[first : first + 3]
        shares = (widest / 2) ** 2 / np.array([(a - b) * (a - c), (b - a) * (b - c), (c - a) * (c - b)])
        missed.append(products[:, near[:, None], near] @ shares @ shares)
        noisy.append(shares @ shares)
    if not missed:
        return np.ones(len(power))
    mean = np.mean(missed, axis=0)
    share = np.divide(mean, power, out=np.ones_like(mean), where=power > 0)
    return np.asarray(np.maximum(share - noise * np.mean(noisy), 0))


def series_goal(target: Target, options: EncodeOptions) -> ShellGoal:
    """What every frame owes: one correlation for all shells. What noise a frame has its neighbours do not share.

    Args:
        target: of one frame.
        options: of the fit.
    """
    share, count = options.goal_for(target.masked), target.last + 1
    modes = target.shells.modes[:count].astype(np.float64)
    modes[target.negligible[:count]] = 0
    modes[0] = 0
    return ShellGoal(share, np.ones(count), modes, "fsc")


def owed_between(goal: ShellGoal, missed: F64, shared: Shared | None = None) -> F64:
    """Share of its power that each shell of a frame may miss for what lies between frames: as the goal says, or less.

    Args:
        goal: of every frame.
        missed: by a line between frames, (shells,) or fewer.
        shared: what noisy frames share. The mean of two frames has half the noise of one.
    """
    allowed, told = goal.missing, 0
    while told + 1 < min(len(missed), len(allowed)) and missed[told + 1] <= _TOLD:
        told += 1
    if told == 0:
        return allowed
    shell, spare = np.arange(len(allowed)), np.zeros(len(allowed))
    if shared is not None:
        # Shares of a noisy frame's power: of what frames share they are more, so a little more is owed.
        last = min(len(shared.noise), len(spare))
        spare[:last] = shared.noise[:last] / 2 - shared.held[:last]
    bits = float(goal.modes @ -np.log(allowed))
    most = _MORE_BITS * math.sqrt(bits * float(goal.modes.sum()) * -math.log(1 - _MORE_AT**2))
    for of_line, of_noise in _SHARES:
        for power in _GROWS:
            line = float(missed[told]) * (shell / told) ** power
            line[: told + 1] = missed[: told + 1]
            wanted = np.minimum(np.maximum(of_line * line + of_noise * spare, _LEAST), allowed)
            wanted[0] = allowed[0]
            more = np.cumsum(goal.modes * np.log(allowed / wanted))
            if more[-1] <= most:
                return wanted
    return np.where(more <= most, wanted, allowed)


def functions_needed(products: F64, axis: Axis, goal: ShellGoal, owed: F64, most: int) -> int:
    """How many functions of the axis hold every frame as true as is owed.

    Args:
        products: of the frames; where there is a motion, moved back.
        axis: where they lie.
        goal: of every frame.
        owed: share of its power that each shell of a frame may miss, (shells,).
        most: functions at most.
    """
    periodic, last = axis.period is not None, min(len(products), len(owed))
    counted = np.flatnonzero(goal.modes[:last])
    functions = axis.at_frames(most_components(len(axis.at), periodic, len(axis.at)))
    powers, total = function_powers(products[counted], functions), shell_powers(products[counted])
    allowed = np.minimum(_LEFT * owed[counted], _LEFT_OF_GOAL * (1 - goal.share**2)) * total
    for count in range(1, most):
        if (
            most_components(count, periodic, count) == count
            and (total - powers[:, :count].sum(1) <= allowed).all()
        ):
            return count
    return most


def effective_functions(products: F64, axis: Axis, goal: ShellGoal, components: int) -> float:
    """Effective number of the functions of the axis: the exponential of the entropy of their shares of the power.

    Args:
        products: of the frames; where there is a motion, moved back.
        axis: where they lie.
        goal: of every frame; a shell counts by its modes.
        components: functions that are fitted.
    """
    powers = function_powers(products, axis.at_frames(components))
    total = powers.sum(1, keepdims=True)
    last = min(len(products), len(goal.modes))
    parts = np.divide(powers, total, out=np.zeros_like(powers), where=total > 0)[:last]
    shares = np.clip(goal.modes[:last] @ parts, 0, None)
    shares = shares[shares > 0] / max(shares.sum(), np.finfo(float).tiny)
    return float(np.exp(-(shares * np.log(shares)).sum()))
