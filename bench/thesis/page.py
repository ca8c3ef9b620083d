"""`bench/results/thesis.md` from `thesis.json`: every table is made here, none by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.thesis.capacity import lines_4
from bench.thesis.future import lines_6
from bench.thesis.memory import lines_3
from bench.thesis.slices import lines_1, lines_2
from bench.thesis.volumes import lines_5

TITLES: dict[str, tuple[str, Callable[[dict[str, Any]], list[str]]]] = {
    "1": ("SIREN against Fourier features on a slice", lines_1),
    "2": ("Slices across x, y and z", lines_2),
    "3": ("Memory, RAM and parameters", lines_3),
    "4": ("Depth, width and omega", lines_4),
    "5": ("Lowered sampling, interpolation, capacity", lines_5),
    "6": ("The future work: Fourier targets, coarse before fine, more layers", lines_6),
}

HEAD = """# The thesis, experiment by experiment

*Made from `thesis.json` by `python -m bench.thesis page`; no number in a table below is written by hand.*

nmap began from a thesis that fitted SIRENs to cryo-EM maps. Its experiments are done again here, each by one command
that also runs on the maps themselves (`--map emd_6287.map.gz` and so on). Without `--quick` the networks have the
thesis's sizes, as far as they are known; with it they are small enough for two cores, and figures are then to be
compared with each other, not with the thesis's.

**What the maps are.** The thesis's three EMDB maps were not at hand. T20S and TRPV1 are **simulated** from PDB entries
3C91 and 3J5P at the thesis's shapes and voxel sizes; EMD-11007 (240^3, CC0) stands in for rNLRP1-rDPP9. Each section
names the maps that it was run on; what is not named was not run. The simulated ones are made by

    python -m bench.simulate_symmetric 3c91.pdb.gz t20s_simulated.mrc --chains 2 --group D7 --box 300 \\
        --voxel 0.98 --resolution 2.8
    python -m bench.simulate_symmetric 3j5p.pdb.gz trpv1_simulated.mrc --chains 1 --group C4 --box 192 \\
        --voxel 1.22 --resolution 2.95

## Two corrections to the thesis's resolutions

1. **Its FSC axis is stretched.** Shells were binned to the corner of the Fourier cube, at sqrt(3) times the Nyquist
   frequency, and the bins labelled 0 to 0.5 per pixel. A resolution read off that axis is sqrt(3) times too large a
   number of Angstrom: 5.05 A printed is 2.92 A. The networks are truer than the thesis says.
2. **The voxel size was left as it was when the sampling was lowered.** T20S at 100^3 has voxels of 1.96 A but its axis
   has 0.98 A, which halves the printed figure; with the first error together, 2.29 A printed would be 2.64 A, beyond
   the Nyquist limit of 3.92 A: the FSC had not fallen below 0.5 before Nyquist.

All correlations below are "fidelity" FSC or FRC: decoded against its own source, which says nothing of how good the
source is. Shell = round(radius in Fourier pixels), every mode once, frequency = index / (n * voxel), to Nyquist.
Figures of the thesis that are not known here are "not at hand".
"""


def page(results: dict[str, Any]) -> str:
    """The Markdown page of all results.

    Args:
        results: by experiment and map, as `thesis.json` holds them.
    """
    lines = [HEAD]
    for number, (title, made) in TITLES.items():
        if number not in results:
            continue
        lines += [f"## {number}. {title}", ""]
        for name, run in results[number].items():
            lines += [f"### {name}", "", f"    {run['command']}", "", _circumstances(run), ""]
            lines += [*made(run["found"]), ""]
    return "\n".join(lines)


def _circumstances(run: dict[str, Any]) -> str:
    source, machine = run["source"], run["machine"]
    z, y, x = source["shape_zyx"]
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items() if version)
    return (
        f"Source: {x} x {y} x {z} voxels of {source['voxel_size_xyz'][0]:.4g} Å, SHA-256 "
        f"{source['sha256'][:12]}. Machine: {machine['cores']} cores of "
        f"{machine['processor']}, shared, no GPU; threads: {machine['threads']}. {versions}. "
        f"{run['seconds']:.0f} s in all."
    )


def read_results(path: Path) -> dict[str, Any]:
    """What earlier runs left; nothing if there is no file."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    return {} if not isinstance(found, dict) else found
