"""The same map and options give the same bytes in every process, and threads change a decode by next to nothing."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from nmap.container import encode_bytes
from nmap.fit.encode import encode
from nmap.fit.options import EncodeOptions
from nmap.grid import Grid
from nmap.maps import DensityMap

TESTS = Path(__file__).parents[1]
VALID = TESTS.parent / "spec" / "conformance" / "valid"
KINDS = {
    "radial-basis": {"preset": "preview"},
    "siren": {"preset": "preview", "steps": 80, "blocks": 6},
    "siren, plain": {"preset": "preview", "steps": 40, "hidden_features": 16},
    "fourier-features": {"preset": "preview", "steps": 40, "hidden_features": 16},
}
"""Kinds of network, and how to fit each quickly; what comes of it need not be good."""


def density() -> DensityMap:
    """Twelve blobs in a small box."""
    grid = Grid((16, 16, 16), (2.0,) * 3)
    points, out = grid.points(), np.zeros(grid.shape)
    for place in np.random.default_rng(1).uniform(10, 22, (12, 3)):
        out += np.exp(-((points - place) ** 2).sum(-1) / (2 * 2.5**2))
    out[out < 1e-4] = 0
    return DensityMap(out.astype(np.float32), grid)


def digests() -> list[str]:
    """SHA-256 of the file of each kind."""
    out = []
    for name, settings in KINDS.items():
        given = EncodeOptions(arch=name.split(",")[0], resolution=8.0, symmetry="C1", **settings)
        out.append(hashlib.sha256(encode_bytes(encode(density(), given), thumbnail=True)).hexdigest())
    return out


def in_another_process(program: str, *words: object, threads: str | None = None, seed: str = "7") -> str:
    """What a program prints in a process of its own, with other hashes of its strings."""
    paths = [str(TESTS), str(TESTS / "fit"), *sys.path]
    changed = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": seed}
    changed |= {} if threads is None else {"OMP_NUM_THREADS": threads}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *map(str, words)],
        env={**os.environ, **changed},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_processes_write_the_same_bytes_of_each_kind() -> None:
    # The record names the threads, so both have as many.
    program = "import test_same_bytes; print(*test_same_bytes.digests())"
    one, other = (in_another_process(program, threads="2", seed=seed).split() for seed in ("7", "8"))
    assert dict(zip(KINDS, one, strict=True)) == dict(zip(KINDS, other, strict=True))


DECODE = """
import sys
from pathlib import Path
import numpy as np
from nmap.container import open_map
made = [open_map(path) for path in sorted(Path(sys.argv[1]).glob("*.nmap"))]
made = [m if m.axis is None else m.at(0.3) for m in made]
np.savez(sys.argv[2], *[m.on_grid(m.grid_for(tuple(2 * n if n > 1 else 1 for n in m.grid.shape))) for m in made])
"""


def test_threads_change_decoded_values_by_less_than_a_millionth_of_the_range(tmp_path: Path) -> None:
    found = []
    for threads in ("1", "3"):
        in_another_process(DECODE, VALID, tmp_path / f"{threads}.npz", threads=threads)
        with np.load(tmp_path / f"{threads}.npz") as arrays:
            found.append([arrays[name] for name in arrays.files])
    assert len(found[0]) > 25
    for one, three in zip(*found, strict=True):
        assert np.abs(one - three).max() <= 1e-6 * np.ptp(one)
