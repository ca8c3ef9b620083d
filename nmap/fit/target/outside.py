"""How far two half maps correlate outside an envelope: what of the signal the envelope leaves out.

Rule: in no shell from 1 to the band limit may the FSC of half 1 x (1 - m) and half 2 x (1 - m), each about its
own solvent, exceed 0.143 or three standard errors, whichever is more. Noise alone correlates by the root of what
stands for one independent mode over the shell's modes (`nmap.spectrum.uncertainty`), under the window 1 - m, which is
0 where both halves are their constant solvent. Below some 440 independent modes three standard errors are more than
0.143: so small a shell fails only where chance does not explain it.

Halves that were symmetrised, each for itself, have fewer independent modes than that: copies share their noise, and
FSC scatters more, by up to the root of the group's order. Signal never makes it negative, so the shells below 0 tell
by how much: where their root mean square is beyond 1.5 standard errors, the standard error is taken to be it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmap.envelope.automatic import solvent_value
from nmap.envelope.envelope import Envelope
from nmap.maps import DensityMap
from nmap.outcomes import OutsideOutcome, ShellValue
from nmap.spectrum import Shells, fsc, modes_for_one

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

THRESHOLD = 0.143
"""FSC of half maps above which they are said to share signal."""
ERRORS = 3.0
"""Standard errors that chance may take a shell of few modes above 0."""
# Scatter, in standard errors, beyond which noise is taken to be symmetrised.
_SYMMETRISED = 1.5
# Shells below 0 that must be there to tell the scatter.
_FEWEST_SHELLS = 5


@dataclass(frozen=True, eq=False)
class Outside:
    """FSC of two half maps outside an envelope.

    Attributes:
        fsc: of shells 1 to the band limit's, (n,).
        error: its standard error in noise that the halves do not share, (n,).
        frequency: 1/Angstrom, (n,).
    """

    fsc: F64
    error: F64
    frequency: F64

    @property
    def excess(self) -> float:
        """Highest FSC in units of what is allowed in its shell: at most 1 where the halves share nothing."""
        return float((self.fsc / np.maximum(THRESHOLD, ERRORS * self.error)).max(initial=0.0))

    @property
    def passed(self) -> bool:
        """Whether the halves correlate in no shell."""
        return self.excess <= 1

    @property
    def outcome(self) -> OutsideOutcome:
        """The highest FSC outside and where: of the shells that 0.143 decides, and of those that chance does."""
        few = ERRORS * self.error > THRESHOLD
        return OutsideOutcome(
            self.passed,
            highest=self._highest(~few, self.fsc),
            highest_of_few=self._highest(few, self.fsc / self.error, in_errors=True),
        )

    def _highest(self, among: NDArray[np.bool_], measure: F64, in_errors: bool = False) -> ShellValue | None:
        """The shell of the highest measure among some; None where there is none."""
        if not among.any():
            return None
        shell = int(np.flatnonzero(among)[np.argmax(measure[among])])
        errors = float(measure[shell]) if in_errors else None
        return ShellValue(float(self.fsc[shell]), float(1 / self.frequency[shell]), errors)


def correlate_outside(half1: DensityMap, half2: DensityMap, envelope: Envelope, band_limit: float) -> Outside:
    """FSC of two half maps on one grid outside an envelope, to a band limit (Angstrom)."""
    grid, shells = half1.grid, Shells(half1.grid)
    inside = envelope.on_lattice(grid.shape)
    a, b = (half.values - np.float32(solvent_value(half.values, inside)) for half in (half1, half2))
    outside = np.float32(1) - inside
    counted = slice(1, shells.last(band_limit) + 1)
    curve = fsc(a, b, grid, outside)
    window = outside * ((a != 0) | (b != 0))
    modes = curve.modes[counted]
    error = np.sqrt(np.minimum(modes_for_one(window, shells) / modes, 1.0))
    return Outside(curve.fsc[counted], error * _scatter(curve.fsc[counted] / error), curve.frequency[counted])


def _scatter(measured: F64) -> float:
    """Factor by which FSC, in standard errors, scatters more than it should, told by what is below 0; else 1."""
    below = measured[measured < 0]
    found = float(np.sqrt(np.square(below).mean())) if below.size >= _FEWEST_SHELLS else 1.0
    return found if found > _SYMMETRISED else 1.0
