"""Point groups, and the fold of a position into one asymmetric unit.

Axes are RELION's (x, y, z in the map's own frame, through the symmetry centre):

========  ==========================================================================================
Cn        n-fold along z
Dn        n-fold along z, 2-fold along x
T         3-fold along z, 2-fold along (0, sqrt(2/3), sqrt(1/3))
O         4-fold along x, y and z
I, I2     2-fold along x, y and z, 5-fold in the xz plane at (0.526, 0, 0.851): RELION's default "I"
I1        2-fold along x, y and z, 5-fold in the yz plane at (0, 0.526, 0.851)
========  ==========================================================================================

The asymmetric unit is the Dirichlet domain of a reference direction: of all copies R x of a point, R in the
group, the fold takes the one with the largest dot product with it. The direction is a generic one, so that no
lattice plane through the centre lies in the domain's wall and the choice does not hang on rounding.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmap.errors import OptionError
from nmap.grid import Triple

F64 = NDArray[np.float64]

# Points folded at once, so that their products with 60 directions stay in cache.
_TILE = 1 << 13
_GOLDEN = (1 + math.sqrt(5)) / 2
# (fold, axis) of the generators of each cubic group.
_GENERATORS: dict[str, tuple[tuple[int, Triple], ...]] = {
    "T": ((3, (0, 0, 1)), (2, (0, math.sqrt(2), 1))),
    "O": ((4, (0, 0, 1)), (3, (1, 1, 1))),
    "I": ((2, (0, 0, 1)), (5, (1, 0, _GOLDEN)), (3, (0, 1, _GOLDEN**2))),
    "I1": ((2, (0, 0, 1)), (5, (0, 1, _GOLDEN)), (3, (1, 0, _GOLDEN**2))),
}
_ORDER = {"T": 12, "O": 24, "I": 60, "I1": 60}
# Reference directions of the folds; their digits are arbitrary, and part of the format.
_REFERENCE: dict[str, Triple] = {
    "C": (1.0, 0.0271828183, 0.0),
    "D": (1.0, 0.0271828183, 1.0314159265),
    "T": (0.3141592654, 0.1271828183, 1.0),
    "O": (0.3141592654, 0.1271828183, 1.0),
    "I": (0.1141592654, 0.0771828183, 1.0),
    "I1": (0.0771828183, 0.1141592654, 1.0),
}


@dataclass(frozen=True)
class PointGroup:
    """A point group and where its axes meet.

    Args:
        name: "C1", "C4", "D7", "T", "O", "I" (the same as "I2") or "I1", as in the table above.
        center: where the axes meet, Angstrom from the grid's origin, Cartesian (x, y, z).

    Raises:
        OptionError: no such group, or a centre that is not finite.
    """

    name: str
    center: Triple = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        name = self.name.upper()
        name = "I" if name == "I2" else name
        axial = re.fullmatch(r"[CD]([1-9]\d?)", name)
        if not axial and name not in _GENERATORS:
            raise OptionError(f"point group {self.name!r}: wanted C1 to C99, D1 to D99, T, O, I or I1")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "center", tuple(float(c) for c in self.center))
        if len(self.center) != 3 or not all(math.isfinite(c) for c in self.center):
            raise OptionError(
                f"symmetry centre {self.center}: wanted three finite numbers (x, y, z), Angstrom"
            )

    @property
    def order(self) -> int:
        """Number of operators."""
        if self.name in _ORDER:
            return _ORDER[self.name]
        return int(self.name[1:]) * (2 if self.name[0] == "D" else 1)

    @cached_property
    def operators(self) -> F64:
        """Rotation matrices for Cartesian (x, y, z) column vectors, (order, 3, 3); the identity first."""
        if self.name in _GENERATORS:
            return _close([_rotation(axis, 360 / fold) for fold, axis in _GENERATORS[self.name]])
        fold = int(self.name[1:])
        turns = np.array([_rotation((0, 0, 1), 360 * i / fold) for i in range(fold)])
        if self.name[0] == "C":
            return turns
        return np.concatenate((turns, turns @ np.diag([1.0, -1.0, -1.0])))

    @property
    def reference(self) -> F64:
        """Unit vector (x, y, z) whose Dirichlet domain is the asymmetric unit."""
        name = self.name if self.name in _REFERENCE else self.name[0]
        direction = np.array(_REFERENCE[name])
        return np.asarray(direction / np.linalg.norm(direction))

    def fold(self, points_xyz: ArrayLike) -> tuple[F64, NDArray[np.intp]]:
        """Move points into the asymmetric unit.

        Args:
            points_xyz: (n, 3), Cartesian (x, y, z), relative to the centre.

        Returns:
            The copies R x with the largest dot product with `reference` (n, 3), and the index of R in
            `operators` (n,); of equal ones the lowest.
        """
        points = np.asarray(points_xyz, np.float64)
        operators = self.operators
        # (R x) . e = x . (R' e)
        directions = operators.transpose(0, 2, 1) @ self.reference
        index = np.empty(len(points), np.intp)
        folded = np.empty_like(points)
        for start in range(0, len(points), _TILE):
            part = slice(start, start + _TILE)
            index[part] = np.argmax(points[part] @ directions.T, axis=1)
            folded[part] = np.einsum("nij,nj->ni", operators[index[part]], points[part])
        return folded, index


def _rotation(axis: Triple, degrees: float) -> F64:
    """Right-handed rotation about an axis (Rodrigues)."""
    x, y, z = np.asarray(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    a = math.radians(degrees)
    turn: F64 = np.eye(3) + math.sin(a) * cross + (1 - math.cos(a)) * (cross @ cross)
    return turn


def _close(generators: list[F64]) -> F64:
    """All products of the generators, in the order in which a breadth-first search finds them."""
    found = [np.eye(3)]
    for known in found:
        for generator in generators:
            product = generator @ known
            if not any(np.allclose(product, f, atol=1e-6) for f in found):
                found.append(product)
    return np.array(found)
