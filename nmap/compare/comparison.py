"""What is compared: two maps on one grid, what else is known of them, and their transforms, made once."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from nmap.errors import OptionError
from nmap.grid import Grid
from nmap.maps.checked import require_same_grid, sound_mask
from nmap.spectrum import (
    Complex,
    Convention,
    Planes,
    ShellCurve,
    Shells,
    correlate_shells,
    crop_spectrum,
    negligible_shells,
    transform_values,
)

if TYPE_CHECKING:
    from nmap.compare.agreement import Finer
    from nmap.compare.sizes import Sizes
    from nmap.maps import DensityMap
    from nmap.point_group import PointGroup

F32 = NDArray[np.float32]


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
    envelope: F32 | None = None
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
    def decoded_spectrum(self) -> Complex:
        """Half transform of the decoded map."""
        return transform_values(self.decoded.values)

    @cached_property
    def source_spectrum(self) -> Complex:
        """Half transform of the source."""
        return transform_values(self.source.values)

    def forget(self, *spectra: Literal["decoded_spectrum", "source_spectrum"]) -> None:
        """Give the memory of a transform back; it is made anew where it is asked for again."""
        for name in spectra:
            self.__dict__.pop(name, None)

    @cached_property
    def curve(self) -> ShellCurve:
        """FSC over the whole box; shells in which the source is negligible are marked."""
        return correlate_shells(
            self.decoded_spectrum, self.source_spectrum, self.shells, negligible=self.negligible
        )

    @cached_property
    def negligible(self) -> NDArray[np.bool_]:
        """Shells in which the source holds nothing, before any mask, which would smear power into them."""
        empty = negligible_shells(self.source_spectrum, self.shells)
        own = self.extras.own_grid
        if own is not None:
            kept = crop_spectrum(self.source_spectrum, self.grid.shape, own.shape)
            known = negligible_shells(kept, Shells(own, self.convention))[: empty.size]
            empty[: known.size] = known
        return empty


def found_by(compare: Callable[[Comparison], Any], order: int = 0) -> Any:
    """A field of findings that is made by comparing; it stays None where `compare` returns that.

    Those of a higher order are made later: by then the transforms that others need may be forgotten.
    """
    return field(default=None, metadata={"compare": compare, "order": order})


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
        raise OptionError(f"resolution {resolution:g} A: coarser than the box's first shell, {coarsest:g} A")
    if compared.mask is not None:
        require_same_grid(compared.mask, compared.source, "mask", "source")
        sound_mask(compared.mask)
