"""Small maps and files for the tests of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from nmap_cli.main import cli


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str


def run(*arguments: object) -> Ran:
    """Run a command in this process."""
    result = CliRunner().invoke(cli, [str(a) for a in arguments])
    return Ran(result.exit_code, result.stdout, result.stderr)


def write_siren(path: Path, width: int = 8, layers: int = 1, seed: int = 0) -> int:
    """Random SIREN weights as the authors' notebook names them; returns how many numbers."""
    draw = np.random.default_rng(seed)
    sizes = [3, *[width] * (layers + 1), 1]
    arrays = {}
    for number, (inputs, outputs) in enumerate(pairwise(sizes)):
        name = f"net.{number}" if outputs == 1 else f"net.{number}.linear"
        arrays[f"{name}.weight"] = draw.uniform(-1, 1, (outputs, inputs)).astype(np.float32) / inputs
        arrays[f"{name}.bias"] = draw.uniform(-1, 1, outputs).astype(np.float32)
    np.savez(path, **arrays)
    return sum(a.size for a in arrays.values())
