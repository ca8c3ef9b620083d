"""Whether a map can be fitted at all, told from its header and the options, before anything is read.

What a file or this machine's memory does not hold is refused with the options that would pass. What a mask or a
symmetry that is still to be found may save is granted: the fit asks again when it knows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nmap.errors import LimitError, OptionError
from nmap.fit.options import EncodeOptions
from nmap.grid import Grid
from nmap.machine.memory import free_memory
from nmap.model.kinds import KINDS
from nmap.model.network import Network
from nmap.point_group import PointGroup

# Memory for each voxel of the source: the map itself, and beside it a transform and a mask while it is prepared.
_MAP_BYTES = 4
_PREPARING_BYTES = 8
# Steps by which a coarser resolution is looked for.
_COARSER = 1.02
_MOST_DOWNSAMPLE = 64


def check_size(grid: Grid, options: EncodeOptions) -> None:
    """Refuse a map that is too large to be fitted so, whatever it holds.

    Args:
        grid: of the source; nothing of its values is known.
        options: of the fit.

    Raises:
        OptionError: more than a file holds; what would pass is named.
        LimitError: more than this machine has memory for.
    """
    if options.resolution is not None:
        with_room(grid, options, options.resolution, _sure_to_be_inside(options))


def with_room(grid: Grid, options: EncodeOptions, resolution: float, inside: float) -> EncodeOptions:
    """The options, with the quicker kind of network where there is room for that only, and none was asked for.

    Args:
        grid: of the source.
        options: of the fit.
        resolution: band limit, Angstrom.
        inside: share of the box in one asymmetric unit of what the envelope holds, at least.

    Raises:
        OptionError, LimitError: as `check_size`.
    """
    try:
        _require_room(grid, options, resolution, inside)
    except (OptionError, LimitError):
        if options.quicker_kind is None:
            raise
        options = replace(options, arch=options.quicker_kind)
        _require_room(grid, options, resolution, inside)
    return options


def _require_room(grid: Grid, options: EncodeOptions, resolution: float, inside: float) -> None:
    told = _Told(grid, options, inside)
    if (large := told.too_large(options, resolution)) is not None:
        raise OptionError(f"{large}: {told.remedies(resolution)}")
    free, wanted = free_memory(), told.bytes(options, resolution)
    if free is not None and wanted > free:
        raise LimitError(
            f"{_counts(grid)} at {resolution:g} A take some {wanted / 2**30:.3g} GiB of memory to fit, "
            f"{free / 2**30:.3g} GiB are free: {told.remedies(resolution, free)}"
        )


def _sure_to_be_inside(options: EncodeOptions) -> float:
    """Share of the box that the options say to be inside, in one asymmetric unit; 0 where the map will tell."""
    if options.mask != "none":
        return 0.0
    if "symmetry" not in KINDS[str(options.arch)].options or options.symmetry.upper() == "C1":
        return 1.0
    return 0.0 if options.symmetry == "auto" else 1 / PointGroup(options.symmetry).order


class _Told:
    """What is known of a fit before it begins."""

    def __init__(self, grid: Grid, options: EncodeOptions, inside: float) -> None:
        self._grid, self._options = grid, options
        self._kind: type[Network] = KINDS[str(options.arch)]
        self._inside = inside

    def _box(self, options: EncodeOptions, resolution: float) -> tuple[Grid, float]:
        """The grid that is fitted, and the band limit, never finer than its Nyquist."""
        grid = reduced_grid(self._grid, options)
        return grid, max(resolution, 1 / grid.nyquist)

    def too_large(self, options: EncodeOptions, resolution: float) -> str | None:
        """What no file holds, in words; None if one holds it all."""
        box, limit = self._box(options, resolution)
        large = self._kind.too_large(box, limit, self._inside)
        return None if large is None else f"{_counts(box)} at {limit:.4g} A take {large}"

    def bytes(self, options: EncodeOptions, resolution: float) -> int:
        """Memory that the fit takes, at least."""
        box, limit = self._box(options, resolution)
        fitting = self._kind.fitting_bytes(box, limit, self._inside)
        return _MAP_BYTES * box.size + max(_PREPARING_BYTES * box.size, fitting)

    def remedies(self, resolution: float, free: int | None = None) -> str:
        """The options that would pass, in words."""
        options = self._options

        def passes(changed: EncodeOptions, coarser: float) -> bool:
            large = self.too_large(changed, coarser) is not None
            return not large and (free is None or self.bytes(changed, coarser) <= free)

        found = []
        coarse, widest = resolution, max(self._grid.edges)
        while coarse < widest and not passes(options, coarse):
            coarse *= _COARSER
        if coarse < widest:
            found.append(f"`resolution` {_rounded_up(coarse):g}")
        side = _most(lambda n: passes(replace(options, crop=n), resolution), 8, min(_wide(self._grid)))
        if side is not None:
            found.append(f"`crop` {side}")
        factors = range(options.downsample + 1, _MOST_DOWNSAMPLE)
        factor = next((f for f in factors if passes(replace(options, downsample=f), resolution)), None)
        if factor is not None:
            kept = 1 / reduced_grid(self._grid, replace(options, downsample=factor)).nyquist
            found.append(f"`downsample` {factor} (which keeps {max(kept, resolution):.3g} A)")
        if len(found) < 2:
            return f"use {found[0]}" if found else "take a part of it"
        return f"use {', '.join(found[:-1])} or {found[-1]}"


def reduced_grid(grid: Grid, options: EncodeOptions) -> Grid:
    """The grid after slice, crop and downsampling; one that these options do not suit stays as it is."""
    if options.slice is not None:
        axis = "zyx".index(options.slice[0])
        shape = [1 if a == axis else n for a, n in enumerate(grid.shape)]
        grid = grid.region((0, 0, 0), (shape[0], shape[1], shape[2]))
    if options.crop is not None:
        n = options.crop
        part = grid.wide((n, n, n))
        if all(a <= b for a, b in zip(part, grid.shape, strict=True)):
            grid = grid.region((0, 0, 0), part)
    if options.downsample > 1:
        z, y, x = (max(1, round(n / options.downsample)) for n in grid.shape)
        grid = grid.resampled(grid.wide((z, y, x)))
    return grid


def _counts(grid: Grid) -> str:
    return " x ".join(str(n) for n in grid.shape[::-1]) + " voxels (x, y, z)"


def _wide(grid: Grid) -> list[int]:
    return [n for n in grid.shape if n > 1] or [1]


def _most(passes: Callable[[int], bool], low: int, high: int) -> int | None:
    """The largest even number up to `high` that passes, by bisection; None if not even `low` does."""
    if high < low or not passes(low):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if passes(middle) else (low, middle)
    return low - low % 2


def _rounded_up(resolution: float) -> float:
    """To three digits, not finer."""
    step = 10.0 ** (len(str(int(resolution))) - 3)
    return float(f"{-(-resolution // step) * step:.6g}")
