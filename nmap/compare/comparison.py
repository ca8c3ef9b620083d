"""What is compared: two maps on one grid, what else is known of them, and sums over their transforms."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, reduce
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nmap.compare.agreement import Finer, FinerSums, ModeSums, cropped_decode
from nmap.errors import OptionError
from nmap.grid import Grid
from nmap.maps.checked import require_same_grid, sound_mask
from nmap.spectrum import (
    Complex,
    Convention,
    Planes,
    ShellCurve,
    Shells,
    ShellSums,
    negligible_shells,
    over_columns,
    transform_values,
)

if TYPE_CHECKING:
    from nmap.compare.sizes import Sizes
    from nmap.maps import DensityMap
    from nmap.point_group import PointGroup


@dataclass(frozen=True, eq=False)
class Extras:
    """What more can be compared than two maps; each None is left out.

    Attributes:
        sizes: bytes of the file and of its source.
        band_limit: of the file, Angstrom.
        envelope: (z, y, x), 0 to 1, tells inside from outside for the correlations.
        fitted: the source times the envelope that it was fitted within, as the file keeps it.
        doubled: the decode at twice the sampling of the source's box.
        symmetry: the file's point group.
        half_maps: the source's two half maps, on its grid.
        model: path of an atomic model of the source (mmCIF or PDB).
        contour: recommended contour level of the source, density units.
        own_grid: the file's own, where it is coarser than the source's: which shells are empty is told by its voxels.
    """

    sizes: Sizes | None = None
    band_limit: float | None = None
    envelope: Planes | None = None
    fitted: Planes | None = None
    doubled: Finer | None = None
    symmetry: PointGroup | None = None
    half_maps: tuple[DensityMap, DensityMap] | None = None
    model: str | os.PathLike[str] | None = None
    contour: float | None = None
    own_grid: Grid | None = None


@dataclass(frozen=True, eq=False)
class Comparison:
    """A decoded map and its source, and what is known of them.

    Attributes:
        decoded: the decoded map, on the source's grid.
        source: what it was made from.
        resolution: shells count to here, Angstrom; None: to Nyquist.
        mask: soft mask, 0 to 1, on the same grid.
        mask_name: what to call it.
        extras: what else to compare.
        convention: of the shells.
    """

    decoded: DensityMap
    source: DensityMap
    resolution: float | None = None
    mask: DensityMap | None = None
    mask_name: str = "given"
    extras: Extras = field(default_factory=Extras)
    convention: Convention = "nmap"

    @property
    def grid(self) -> Grid:
        """Where both maps lie."""
        return self.source.grid

    @cached_property
    def shells(self) -> Shells:
        """Fourier shells of their grid."""
        return Shells(self.grid, self.convention)

    @cached_property
    def sums(self) -> tuple[ModeSums, FinerSums | None, float]:
        """What is summed over Fourier modes: of the two maps, of a finer decode, and what that holds beyond.

        Some columns of the transforms at a time: whole they take as much memory as the maps.
        """
        limit, doubled = self.extras.band_limit, self.extras.doubled
        finer, cut = (None, 0.0) if doubled is None else cropped_decode(doubled, self.grid)

        def work(columns: slice, decoded: Complex, source: Complex) -> tuple[ModeSums, FinerSums | None]:
            shells = self.shells.part(columns)
            both = ModeSums.of(decoded, source, shells, limit)
            if finer is None:
                return both, None
            return both, FinerSums.of(finer[..., columns], decoded, source, shells, limit)

        done = over_columns([Planes.centred(d.values) for d in (self.decoded, self.source)], work)
        both = reduce(add, (one for one, _ in done))
        more = [two for _, two in done if two is not None]
        return both, reduce(add, more) if more else None, cut

    @cached_property
    def curve(self) -> ShellCurve:
        """FSC over the whole box; shells in which the source is negligible are marked."""
        return self.sums[0].shells.curve(negligible=self.negligible)

    def correlate(self, first: Planes, second: Planes) -> ShellCurve:
        """FSC of two other volumes on this grid; the same shells are marked."""

        def work(columns: slice, a: Complex, b: Complex) -> ShellSums:
            return ShellSums.of(a, b, self.shells.part(columns))

        return reduce(add, over_columns([first, second], work)).curve(negligible=self.negligible)

    @cached_property
    def negligible(self) -> NDArray[np.bool_]:
        """Shells in which the source holds nothing, before any mask, which would smear power into them."""
        empty: NDArray[np.bool_] = self.sums[0].shells.negligible[1]
        own = self.extras.own_grid
        if own is not None:
            kept = transform_values(self.source.values, own.shape)
            known = negligible_shells(kept, Shells(own, self.convention))[: empty.size]
            empty[: known.size] = known
        return empty


def found_by(compare: Callable[[Comparison], Any]) -> Any:
    """A field of findings that is made by comparing; it stays None where `compare` returns that."""
    return field(default=None, metadata={"compare": compare})


def check_comparison(compared: Comparison) -> None:
    """Refuse what cannot be compared.

    Raises:
        GridError: maps that do not lie on one grid.
        OptionError: a resolution that is not positive, or a mask that is none.
    """
    require_same_grid(compared.decoded, compared.source, "decoded map", "source")
    resolution = compared.resolution
    if resolution is not None and compared.shells.last(resolution) < 1:
        coarsest = 1 / compared.shells.width
        raise OptionError(
            f"`resolution` {resolution:g} A: coarser than the box's first shell, {coarsest:g} A"
        )
    if compared.mask is not None:
        require_same_grid(compared.mask, compared.source, "mask", "source")
        sound_mask(compared.mask)
