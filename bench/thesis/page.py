"""`bench/results/thesis.md` from `thesis.json`: every table is made here, none by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from bench.table import markdown_table
from bench.thesis.capacity import lead_4, lines_4
from bench.thesis.estimate import lead_estimate, lines_estimate
from bench.thesis.future import lead_6, lines_6
from bench.thesis.memory import lead_3, lines_3
from bench.thesis.setup import Runs
from bench.thesis.slices import lead_1, lead_2, lines_1, lines_2
from bench.thesis.volume_lines import lead_5, lines_5


class Section(NamedTuple):
    """One section of the page.

    Attributes:
        title: in words.
        lead: what is said once, from what was found on every map.
        lines: what is said of one map.
    """

    title: str
    lead: Callable[[Runs], list[str]]
    lines: Callable[[dict[str, Any]], list[str]]


ESTIMATE = "estimate"

SECTIONS: dict[str, Section] = {
    "1": Section("SIREN against Fourier features on a slice", lead_1, lines_1),
    "2": Section("Slices across x, y and z", lead_2, lines_2),
    "3": Section("Memory, RAM and parameters", lead_3, lines_3),
    "4": Section("Depth, width and omega", lead_4, lines_4),
    "5": Section("Lowered sampling, interpolation, capacity", lead_5, lines_5),
    "6": Section("The future work: Fourier targets, coarse before fine, more layers", lead_6, lines_6),
    ESTIMATE: Section("What the thesis's own sizes would take", lead_estimate, lines_estimate),
}

HEAD = """# The thesis, experiment by experiment

*Made from `thesis.json` by `python -m bench.thesis page`; no number in a table of results is written by hand.*

nmap began from a thesis that fitted SIRENs to cryo-EM maps. Its experiments are done again here, each by one command
that also runs on the maps themselves (`--map emd_6287.map.gz` and so on), from the root of a checkout. Without
`--quick` the networks have the thesis's sizes, as far as they are known; with it they are small enough for two cores,
and figures are then to be compared with each other, not with the thesis's. Figures of the thesis that are not known
here are "not at hand".

## Two corrections to the thesis's resolutions

1. **Its FSC axis is stretched.** Shells were binned to the corner of the Fourier cube, at sqrt(3) times the Nyquist
   frequency, and the bins labelled 0 to 0.5 per pixel. A resolution read off that axis is sqrt(3) times too large a
   number of Angstrom: 5.05 A printed is 2.92 A. The networks are truer than the thesis says.
2. **The voxel size was left as it was when the sampling was lowered.** T20S at 100^3 has voxels of 1.96 A but its axis
   has 0.98 A, which halves the printed figure; with the first error together, 2.29 A printed would be 2.64 A, beyond
   the Nyquist limit of 3.92 A: the FSC had not fallen below 0.5 before Nyquist.

All correlations below are "fidelity" FSC or FRC: decoded against its own source, which says nothing of how good the
source is. Shell = round(radius in Fourier pixels), every mode once, frequency = index / (n * voxel), to Nyquist.

## What was run on what

The thesis's three EMDB maps were not at hand. T20S and TRPV1 are **simulated** from PDB entries 3C91 and 3J5P at the
thesis's shapes and voxel sizes; EMD-11007 (240^3, CC0) stands in for rNLRP1-rDPP9; EMD-3488 (CC0) is the repository's
example. The simulated ones are made by

    python -m bench.simulate_symmetric 3c91_T20S.pdb.gz t20s_simulated.mrc --chains 2 --group D7 --box 300 \\
        --voxel 0.98 --resolution 2.8
    python -m bench.simulate_symmetric 3j5p_TRPV1.pdb.gz trpv1_simulated.mrc --chains 1 --group C4 --box 192 \\
        --voxel 1.22 --resolution 2.95

from the PDB entries under these names: a label in the map names the file, and so the SHA-256 depends on it. The last
bits of the densities may differ with the version of numpy or the processor, and the SHA-256 with them.
"""


def page(results: dict[str, Any]) -> str:
    """The Markdown page of all results.

    Args:
        results: by experiment and map, as `thesis.json` holds them.
    """
    machines = _machines(results)
    lines = [HEAD, _maps(results), "", _matrix(results), ""]
    lines += [
        '"Full" is without `--quick`; nothing else was run. All runs were made on shared machines without a GPU:',
        "",
    ]
    lines += [f"- machine {letter}: {words}" for words, letter in machines.items()]
    lines.append("")
    for number, section in SECTIONS.items():
        runs = results.get(number)
        if not runs:
            continue
        heading = section.title if number == ESTIMATE else f"{number}. {section.title}"
        found = {name: run["found"] for name, run in runs.items()}
        lines += [f"## {heading}", "", *section.lead(found), ""]
        for name, run in runs.items():
            lines += [f"### {name}", "", f"    {run['command']}", ""]
            lines += [f"Machine {machines[_machine(run)]}, {_time(run)} in all.", ""]
            lines += [*section.lines(run["found"]), ""]
    return "\n".join(lines)


def _machine(run: dict[str, Any]) -> str:
    """Where a run was made, in words."""
    machine = run["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items() if version)
    return (
        f"{machine['cores']} cores of {machine['processor']}, {machine['memory_gib']} GiB, {machine['system']}; "
        f"threads: {machine['threads']}; {versions}."
    )


def _time(run: dict[str, Any]) -> str:
    """How long a run took, by the wall clock, and by the processor where that was told."""
    wall = f"{run['seconds']:.0f} s"
    return (
        f"{wall} ({run['processor_seconds']:.0f} s of processor time)" if "processor_seconds" in run else wall
    )


def _machines(results: dict[str, Any]) -> dict[str, str]:
    """A letter for each machine, in the order in which the page names them."""
    words = [_machine(run) for number in SECTIONS for run in results.get(number, {}).values()]
    return {each: chr(ord("A") + i) for i, each in enumerate(dict.fromkeys(words))}


def _maps(results: dict[str, Any]) -> str:
    """The sources; a map that was run in two versions stands there twice."""
    seen: dict[tuple[str, str], list[str]] = {}
    for number in SECTIONS:
        for name, run in results.get(number, {}).items():
            source = run["source"]
            z, y, x = source["shape_zyx"]
            row = [name, f"{x} x {y} x {z}", f"{source['voxel_size_xyz'][0]:.4g}", source["sha256"][:16]]
            seen[name, source["sha256"]] = row
    return markdown_table(["map", "voxels", "voxel, Å", "SHA-256 of its file, first 16"], list(seen.values()))


def _matrix(results: dict[str, Any]) -> str:
    """Which experiment was run on which map, and how large."""
    numbers = [number for number in SECTIONS if number != ESTIMATE]
    names = list(dict.fromkeys(name for number in numbers for name in results.get(number, {})))
    rows = [[name, *(_size(results.get(number, {}).get(name)) for number in numbers)] for name in names]
    return markdown_table(["map", *(f"experiment {number}" for number in numbers)], rows)


def _size(run: dict[str, Any] | None) -> str:
    """How large a run was, by its command."""
    if run is None:
        return "not run"
    words = run["command"].split()
    return "trial" if "--tiny" in words else "quick" if "--quick" in words else "full"


def read_results(path: Path) -> dict[str, Any]:
    """What earlier runs left; nothing if there is no file."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    return {} if not isinstance(found, dict) else found
