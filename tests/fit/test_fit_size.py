"""What is too large is refused from its header, with options that pass."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from cli_files import run
from mrc_files import mrc_bytes

import nmap.fit.size as size
from nmap.coding.codings import MAX_LATTICE_POINTS
from nmap.errors import LimitError, OptionError
from nmap.fit.options import EncodeOptions
from nmap.fit.size import check_size
from nmap.grid import Grid
from nmap.model.radial_basis import sites_lattice

GIANT = Grid((2000, 2000, 2000), (1.0, 1.0, 1.0))


@pytest.fixture
def much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """As much as any map takes."""
    monkeypatch.setattr(size, "free_memory", lambda: None)


def header_only(path: Path, n: int, voxel: float) -> Path:
    """A map of n^3 voxels whose data are a hole: nothing of them is on the disk."""
    small = mrc_bytes(
        np.zeros((1, 1, 1), np.float32), nx=n, ny=n, nz=n, mx=n, my=n, mz=n, cella=(n * voxel,) * 3
    )
    with path.open("wb") as file:
        file.write(small[:1024])
        file.truncate(1024 + 4 * n**3)
    return path


@pytest.mark.usefixtures("much_memory")
def test_every_remedy_that_is_named_passes() -> None:
    options = EncodeOptions(resolution=2.5, arch="radial-basis")
    with pytest.raises(OptionError, match="wanted at most") as refused:
        check_size(GIANT, options)
    said = str(refused.value)
    found = dict(re.findall(r"`(resolution|crop|downsample)` ([\d.]+)", said))
    assert set(found) == {"resolution", "crop", "downsample"}
    check_size(GIANT, EncodeOptions(resolution=float(found["resolution"]), arch="radial-basis"))
    check_size(GIANT, EncodeOptions(resolution=2.5, crop=int(found["crop"]), arch="radial-basis"))
    check_size(GIANT, EncodeOptions(resolution=2.5, downsample=int(found["downsample"]), arch="radial-basis"))


@pytest.mark.usefixtures("much_memory")
def test_a_box_without_a_mask_is_refused_for_its_sites() -> None:
    # Nearly as many points as a file may have, a quarter of which are sites: more than may be coded.
    edge = int((0.85 * MAX_LATTICE_POINTS) ** (1 / 3) / (2 * 2**0.5) * 3)
    grid = Grid((edge, edge, edge), (1.0, 1.0, 1.0))
    everything = EncodeOptions(resolution=3.0, mask="none", symmetry="C1", arch="radial-basis")
    with pytest.raises(OptionError, match="sites"):
        check_size(grid, everything)
    check_size(grid, EncodeOptions(resolution=3.0, mask="none", symmetry="D7", arch="radial-basis"))
    check_size(grid, EncodeOptions(resolution=3.0, arch="radial-basis"))


def test_more_than_the_memory_that_is_free_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size, "free_memory", lambda: 3_000_000_000)
    with pytest.raises(LimitError, match=r"GiB are free: use `resolution` .* or `downsample`"):
        check_size(Grid((600, 600, 600), (1.0, 1.0, 1.0)), EncodeOptions(resolution=2.3))
    check_size(Grid((64, 64, 64), (1.0, 1.0, 1.0)), EncodeOptions(resolution=2.5))


def test_the_lattice_has_two_sites_for_each_wave_within_the_band_limit() -> None:
    # Petersen and Middleton 1962: a body-centred lattice of cell sqrt(1/2) / radius, thus 2 sqrt(2) steps for a shell.
    grid = Grid((100, 100, 100), (1.0, 1.0, 1.0))
    (n, _, _) = sites_lattice(grid, 4.0)
    assert n >= 2 * 2**0.5 * 25.5
    assert n <= 1.15 * 2 * 2**0.5 * 25.5
    assert n % 4 == 0


def test_encode_refuses_a_large_map_without_reading_it(tmp_path: Path) -> None:
    source = header_only(tmp_path / "giant.mrc", 2000, 1.0)
    done = run("encode", source, tmp_path / "out.nmap", "--resolution", 2.5, "--arch", "radial-basis")
    assert done.code in (2, 4)
    assert "--resolution" in done.err
    assert "--downsample" in done.err
    assert not (tmp_path / "out.nmap").exists()
