"""Where the density of a moving molecule lies: displacements at coarse nodes, cubic B-splines between them.

    density(x) = P(x - d(x)),    d(x) = sum over nodes n of B_n(x) c_n

Node j of m along an axis lies at box fraction j / m, and the box is periodic, as in an envelope. P is the density of
the molecule at rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmap.errors import FormatError
from nmap.grid import Grid, Shape

F64 = NDArray[np.float64]

MAX_NODES = 1 << 15
"""Nodes of a motion at most: it is evaluated at every point of a lattice."""

# Points whose displacements are held at once.
_BLOCK = 1 << 20


@dataclass(frozen=True, eq=False)
class Motion:
    """Displacements at nodes.

    Args:
        nodes: Angstrom along (x, y, z), (mz, my, mx, 3).
        limit: band limit of the moved density, Angstrom; that at rest may be finer.

    Raises:
        FormatError: a displacement that is not finite.
    """

    nodes: F64
    limit: float

    def __post_init__(self) -> None:
        if not np.isfinite(self.nodes).all():
            raise FormatError("a displacement of the motion is not finite: the file is damaged")

    def on_planes(self, shape: Shape, part: slice) -> F64:
        """Displacements, Angstrom along (x, y, z), at planes `part` of a lattice over the box, (planes, ny, nx, 3)."""
        counts = self.nodes.shape[:3]
        z, y, x = (spline_weights(np.arange(n) / n, m) for n, m in zip(shape, counts, strict=True))
        return np.asarray(np.einsum("ia,jb,kc,abcd->ijkd", z[part], y, x, self.nodes, optimize=True))

    def places(self, box: Grid, shape: Shape) -> Iterator[tuple[slice, F64]]:
        """Box fractions (n, 3), (z, y, x), of x - d(x) at the points of a lattice over the box, by planes."""
        nz, ny, nx = shape
        inverse = np.linalg.inv(box.box)
        rows = max(1, _BLOCK // (ny * nx))
        for start in range(0, nz, rows):
            part = slice(start, min(start + rows, nz))
            index = np.stack(
                np.meshgrid(np.arange(part.start, part.stop), *map(np.arange, (ny, nx)), indexing="ij"), -1
            )
            moved = (self.on_planes(shape, part) @ inverse.T)[..., ::-1]
            yield part, (index / np.asarray(shape) - moved).reshape(-1, 3)


def spline_weights(fractions: F64, nodes: int) -> F64:
    """Weight of each node at box fractions along an axis, (n, nodes): the periodic cubic B-spline; 1 for one node."""
    out = np.zeros((len(fractions), nodes))
    if nodes == 1:
        return out + 1
    place = fractions * nodes
    low = np.floor(place).astype(np.intp)
    s = place - low
    shares = ((1 - s) ** 3, 3 * s**3 - 6 * s**2 + 4, -3 * s**3 + 3 * s**2 + 3 * s + 1, s**3)
    for step, share in enumerate(shares):
        np.add.at(out, (np.arange(len(place)), (low - 1 + step) % nodes), share / 6)
    return out
