"""How symmetric a decode is, and how symmetric the source is within the same band limit.

    python -m bench.symmetry FILE.nmap SOURCE.mrc

Both are trigonometric polynomials over the box, evaluated exactly at points of the molecule and at their
copies: rms of the difference, as a share of the rms, for the best and the worst rotation of the file's group.
A sharp band limit in a rectangular box is itself not symmetric under rotations that do not map the box onto
itself; the last rows say how much of that a soft limit would take away.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.table import markdown_table
from nmap.container import open_map
from nmap.errors import NmapError, OptionError
from nmap.maps import read_map
from nmap.model import Field
from nmap.point_group import PointGroup
from nmap.sampling.polynomial import Polynomial
from nmap.spectrum import Complex, Shells, crop_spectrum, transform

F64 = NDArray[np.float64]

POINTS = 4000
_SOFT = (2, 4, 8)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.symmetry", description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help=".nmap file with a point group and a band limit")
    parser.add_argument("source", type=Path, help="the map it was made from")
    given = parser.parse_args(argv)
    try:
        print(_table(open_map(given.file).field, given.source))
    except (NmapError, OSError) as error:
        print(f"bench.symmetry: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, NmapError) else 4
    return 0


def _table(field: Field, path: Path) -> str:
    group = field.symmetry
    if group is None or field.band_limit is None or field.lattice is None:
        raise OptionError("the file has no point group or no band limit: wanted both")
    source = read_map(path)
    if not source.grid.matches(field.box):
        raise OptionError(f"{path.name} lies on {source.grid}, the file on {field.box}: wanted one grid")
    decoded = field.spectrum()
    shells = Shells(field.band)
    truth = crop_spectrum(transform(source.values), source.grid.shape, field.band.shape)
    radius = np.sqrt(sum(f * f for f in np.meshgrid(*_frequencies(field), indexing="ij"))) / shells.width
    rows = [("decode", decoded), ("source", truth * shells.spread(np.ones(field.last_shell + 1, np.float32)))]
    for width in _SOFT:
        fall = np.clip((field.last_shell + 0.5 - radius) / width, 0, 1)
        soft = (fall**3 * (10 - 15 * fall + 6 * fall**2)).astype(np.float32)
        rows += [(f"{name}, limit {width} shells wide", f * soft) for name, f in rows[:2]]
    points = _points(field, decoded, group)
    return markdown_table(
        ("map", "best rotation", "worst rotation"),
        [(name, *(f"{v:.1e}" for v in _asymmetry(field, f, group, points))) for name, f in rows],
    )


def _frequencies(field: Field) -> list[F64]:
    """Frequencies along (z, y, x) of the lattice's half transform, 1/Angstrom; orthogonal boxes only."""
    z, y, x = field.band.shape
    ez, ey, ex = field.box.edges[::-1]
    halves = np.fft.fftfreq(z, ez / z), np.fft.fftfreq(y, ey / y), np.fft.rfftfreq(x, ex / x)
    return [np.asarray(f, np.float64) for f in halves]


def _points(field: Field, decoded: Complex, group: PointGroup) -> F64:
    """Random positions (n, 3), (x, y, z) in Angstrom from the centre, where the decode is strong."""
    poly = Polynomial.of(decoded, field.band.shape, field.degree)
    random = np.random.default_rng(0)
    edges = np.asarray(field.box.edges)
    found = random.random((100 * POINTS, 3)) * edges
    strength = np.abs(poly.at((found / edges)[:, ::-1].copy()))
    strong = found[np.argsort(-strength)[: 10 * POINTS : 10]]
    return np.asarray(strong - np.asarray(group.center), np.float64)


def _asymmetry(
    field: Field,
    spectrum: Complex,
    group: PointGroup,
    points: F64,
) -> tuple[float, float]:
    """Lowest and highest rms difference over the group's rotations, in units of the rms at the points."""
    poly = Polynomial.of(spectrum, field.band.shape, field.degree)
    edges, centre = np.asarray(field.box.edges), np.asarray(group.center)
    values = [poly.at(((points @ r.T + centre) / edges)[:, ::-1].copy()) for r in group.operators]
    spread = float(np.std(values[0]))
    apart = [float(np.sqrt(np.mean((v - values[0]) ** 2))) / spread for v in values[1:]]
    return min(apart), max(apart)


if __name__ == "__main__":
    raise SystemExit(main())
