"""Commands that write, the files that they read, and the rule that holds whatever befalls them: old or complete."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from cli_files import run, write_siren
from phantoms import neural_map, siren

from nmap.container import decode_bytes, open_map, save
from nmap.errors import NmapError
from nmap.grid import Grid
from nmap.maps import DensityMap, write_map

GRID = Grid((12, 12, 12), (1.5, 1.5, 1.5))
OLD = b"what was there before"


@dataclass(frozen=True)
class Job:
    """A command that writes one file.

    Attributes:
        name: of the command.
        words: its arguments; a word that begins with "in/" is an input, the output comes last.
        suffix: of the output's name.
    """

    name: str
    words: tuple[str, ...]
    suffix: str = ".nmap"

    def arguments(self, world: Path, overwrite: bool) -> list[str]:
        """The whole command line in a world."""
        words = [str(world / word) if word.startswith("in/") else word for word in self.words]
        return [*words, str(self.output(world)), "-q", *(["--overwrite"] if overwrite else [])]

    def output(self, world: Path) -> Path:
        """The file that it writes."""
        return world / "out" / f"x{self.suffix}"


ENCODE = Job(
    "encode",
    ("encode", "in/a.mrc", "--resolution", "5", "--preset", "preview", "--mask", "none", "--symmetry", "C1", "-o"),
)  # fmt: skip
DECODE = Job("decode", ("decode", "in/a.nmap", "-o"), ".mrc")
QUICK = (
    DECODE,
    Job("decode .gz", ("decode", "in/a.nmap", "-o"), ".mrc.gz"),
    Job("strip", ("strip", "in/a.nmap", "-o")),
    Job("repair", ("repair", "in/appended.nmap", "-o")),
    Job("import-weights", ("import-weights", "in/w.npz", "--shape", "12", "--voxel-size", "1.5", "-o")),
)
"""Those that load no torch."""


def blob(shift: float = 0.0) -> np.ndarray:
    """A map of two bumps in the box of `GRID`."""
    z, y, x = np.indices(GRID.shape, np.float32)
    near = np.exp(-((z - 5) ** 2 + (y - 6) ** 2 + (x - 4 - shift) ** 2) / 5)
    return np.asarray(near + 0.7 * np.exp(-((z - 7) ** 2 + (y - 4) ** 2 + (x - 8) ** 2) / 4), np.float32)


def make_world(world: Path) -> Path:
    """A folder with inputs, `in`, and an empty folder for outputs, `out`."""
    (world / "in").mkdir(parents=True)
    (world / "out").mkdir()
    write_map(DensityMap(blob(), GRID), world / "in" / "a.mrc")
    save(neural_map(siren(8, 1), GRID, resolution=4.0), world / "in" / "a.nmap")
    shutil.copy(world / "in" / "a.nmap", world / "in" / "appended.nmap")
    with h5py.File(world / "in" / "appended.nmap", "r+") as file:
        file.attrs["note"] = "added by another program " * 40
    write_siren(world / "in" / "w.npz")
    return world


def complete(job: Job, world: Path) -> bytes:
    """What the job writes where nothing befalls it."""
    ran = run(*job.arguments(world, overwrite=True))
    assert ran.code == 0, ran
    data = job.output(world).read_bytes()
    job.output(world).unlink()
    return data


class Watched:
    """A world in which a job is run again and again; says after each run what became of its files."""

    def __init__(self, job: Job, world: Path, overwrite: bool) -> None:
        self.job, self.world, self.overwrite = job, world, overwrite
        self.new = complete(job, world)
        self._inputs = self._read("in")
        self.arguments = job.arguments(world, overwrite)

    def _read(self, folder: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.world / folder).iterdir()}

    def begin(self) -> None:
        """Put the old file there, or none."""
        for path in (self.world / "out").iterdir():
            path.unlink()
        if self.overwrite:
            self.job.output(self.world).write_bytes(OLD)

    def _holds_the_map(self) -> bool:
        """Whether the file is a sound .nmap of the same network: an encode that lacks memory leaves out what it can."""
        path = self.job.output(self.world)
        try:
            return (
                path.suffix == ".nmap"
                and open_map(path).tensors.keys() == decode_bytes(self.new).tensors.keys()
            )
        except NmapError:
            return False

    def outcome(self) -> str:
        """What a run that is over left: "old" or "complete", else what is wrong; a next run writes beside it."""
        ran = run("strip", self.world / "in" / "a.nmap", "-o", self.world / "out" / "next.nmap")
        if ran.code:
            return f"the next run failed: {ran.err}"
        left = self._read("out")
        del left["next.nmap"]
        found = left.pop(self.job.output(self.world).name, None)
        if left:
            return f"left behind: {', '.join(left)}"
        if self._read("in") != self._inputs:
            return "an input was changed"
        if found == self.new or (found not in (None, OLD) and self._holds_the_map()):
            return "complete"
        return "old" if found == (OLD if self.overwrite else None) else "between"
