"""Q-scores and correlations by residue, ours against cctbx's.

    python -m bench.q_score MAP MODEL --resolution 3.2 --cctbx CCTBX_PYTHON [--results DIR]

CCTBX_PYTHON is an interpreter of an environment of its own:
`python3.11 -m venv E && E/bin/pip install cctbx-base pandas`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmap.compare.model_correlation import correlation_by_residue, correlation_in_mask, model_map
from nmap.compare.q_score import q_scores
from nmap.compare.structure import Atoms, read_atoms
from nmap.maps import DensityMap, read_map

F64 = NDArray[np.float64]
SCRIPT = Path(__file__).with_name("cctbx_scores.py")
HEAD = "| ours | cctbx | mean ours | mean cctbx | mean difference | within | share | largest |"


def theirs(map_path: Path, model_path: Path, resolution: float, python: str) -> dict[str, Any]:
    """What cctbx finds, as `cctbx_scores.py` writes it."""
    with tempfile.TemporaryDirectory() as folder:
        plain = [_plain(path, Path(folder)) for path in (map_path, model_path)]
        out = Path(folder) / "scores.json"
        subprocess.run(
            [python, str(SCRIPT), *map(str, plain), str(resolution), str(out)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        found: dict[str, Any] = json.loads(out.read_text("utf-8"))
    return found


def _plain(path: Path, folder: Path) -> Path:
    """The file without gzip, for cctbx."""
    if path.suffix != ".gz":
        return path.absolute()
    out = folder / path.stem
    with gzip.open(path) as packed, out.open("wb") as file:
        shutil.copyfileobj(packed, file)
    return out


def by_atom(atoms: Atoms, rows: list[list[Any]]) -> F64:
    """Their score of each of our atoms, (n,); NaN where they have none."""
    scores = {tuple(row[:4]): row[4] for row in rows}
    residues = [atoms.residues[index] for index in atoms.residue]
    return np.array(
        [
            scores.get((r.chain, r.number, r.name, str(name)), np.nan)
            for r, name in zip(residues, atoms.names, strict=True)
        ]
    )


def line(ours: str, cctbx: str, mine: F64, other: F64, within: float) -> str:
    """A row of the table, over the residues that both have."""
    both = np.isfinite(mine) & np.isfinite(other)
    apart = mine[both] - other[both]
    share = 100 * float((np.abs(apart) <= within).mean())
    return (
        f"| {ours} | {cctbx} | {mine[both].mean():.4f} | {other[both].mean():.4f} | {apart.mean():+.4f} "
        f"| {within:g} | {share:.1f} % | {np.abs(apart).max():.3f} |"
    )


def table(density: DensityMap, atoms: Atoms, resolution: float, found: dict[str, Any]) -> str:
    """The comparison as Markdown."""
    began = time.perf_counter()
    equal = atoms.by_residue(q_scores(density.values, density.grid, atoms.positions))
    seconds = time.perf_counter() - began
    free = atoms.by_residue(q_scores(density.values, density.grid, atoms.positions, "free"))
    program, dense = (atoms.by_residue(by_atom(atoms, found[name])) for name in ("program", "dense"))
    model = model_map(atoms, density.grid, resolution)
    own = correlation_by_residue(density.values, density.grid, atoms, model)
    scores = {tuple(row[:3]): row[3] for row in found["cc"]}
    cc = np.array([scores.get((r.chain, r.number, r.name), np.nan) for r in atoms.residues])
    rows = [
        line("Q, shells by free share", "Q, as its program: 32 points, from 0.1 A", free, program, 0.02),
        line("Q, shells by free share", "Q, 128 points, from 0 A", free, dense, 0.02),
        line("Q, shells equal (the default)", "Q, 128 points, from 0 A", equal, dense, 0.02),
        line("CC of a residue", "CC of a residue", own, cc, 0.01),
    ]
    mask = correlation_in_mask(density.values, model)
    return "\n".join(
        [
            f"{len(atoms)} atoms, {len(atoms.residues)} residues; means and shares are over residues.",
            "",
            HEAD,
            "|---|---|---|---|---|---|---|---|",
            *rows,
            "",
            f"CC_mask {mask:.4f}, cctbx {found['cc_mask']:.4f}; radius of an atom {model.radius:.2f} A, "
            f"cctbx {found['atom_radius']:.2f} A. Our Q-scores took {seconds:.1f} s.",
        ]
    )


def main() -> None:
    """Read the arguments, compare, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("map", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--resolution", type=float, required=True)
    parser.add_argument("--cctbx", required=True, metavar="PYTHON")
    parser.add_argument("--results", type=Path, metavar="DIR", help="write q_score.md into this folder")
    given = parser.parse_args()
    density, atoms = read_map(given.map), read_atoms(given.model)
    found = theirs(given.map, given.model, given.resolution, given.cctbx)
    text = table(density, atoms, given.resolution, found)
    print(text)
    if given.results:
        command = (
            f"python -m bench.q_score {given.map.name} {given.model.name} --resolution {given.resolution:g}"
        )
        page = (
            f"# Q-scores and correlations: ours and cctbx's\n\n`{command} --cctbx PYTHON`\n\n{text}\n\n"
            "Where every shell weighs the same, as in the paper, Q is higher than cctbx's, whose outer shells\n"
            "weigh less where neighbours crowd them (`nmap/compare/q_score.py`).\n"
        )
        (given.results / "q_score.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
