"""A failure once there is a usable network ends the fit, or a part of the record, and never the network."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_files import run
from phantoms import neural_map, siren

import nmap.fit.blocks.fit as blocks
import nmap.fit.bumps.search as search
from nmap.container import open_map, save
from nmap.fit.encode import encode
from nmap.fit.options import EncodeOptions
from nmap.grid import Grid
from nmap.machine import atomic
from nmap.maps import DensityMap, write_map
from nmap_cli.progress import ProgressLine

GRID = Grid((16, 16, 16), (2.0,) * 3)


def failing(*_: Any, **__: Any) -> Any:
    raise MemoryError("injected")


@pytest.fixture(scope="module")
def density() -> DensityMap:
    points, out = GRID.points(), np.zeros(GRID.shape)
    for place in np.random.default_rng(1).uniform(10, 22, (12, 3)):
        out += np.exp(-((points - place) ** 2).sum(-1) / (2 * 2.5**2))
    out[out < 1e-4] = 0
    return DensityMap(out.astype(np.float32), GRID)


def options(**changes: Any) -> EncodeOptions:
    return EncodeOptions(
        **{"resolution": 8.0, "symmetry": "C1", "preset": "preview", "arch": "radial-basis", **changes}
    )


def notices(made: Any) -> dict[str, str]:
    return {note["code"]: str(note) for note in made.record.get("fit", {}).get("notes", [])}


@pytest.fixture(scope="module")
def whole(density: DensityMap) -> Any:
    return encode(density, options(contour=0.3))


PARTS = ("_fsc", "_agreement", "_envelope", "_contour", "_settings", "_history", "_versions")


def test_whatever_of_the_record_fails_the_network_is_the_same_and_opens(
    density: DensityMap, whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in PARTS:
        monkeypatch.setattr(f"nmap.fit.record.{name}", failing)
    made = encode(density, options(contour=0.3))
    np.testing.assert_array_equal(made.as_array(), whole.as_array())
    notes = made.record["fit"]["notes"]
    assert [note["code"] for note in notes].count("not-recorded") == len(PARTS)
    save(made, tmp_path / "a.nmap")
    assert "worst" not in open_map(tmp_path / "a.nmap").record.get("fidelity", {})
    assert run("inspect", tmp_path / "a.nmap").code == 0


def test_a_search_that_fails_half_way_keeps_its_best_network(
    density: DensityMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, count = search.iterate, 0

    def sometimes(*given: Any) -> Any:
        nonlocal count
        count += 1
        return failing() if count > 40 else step(*given)

    monkeypatch.setattr(search, "iterate", sometimes)
    made = encode(density, options(preset="faithful"))
    assert "injected" in notices(made)["cut-short"]
    assert np.ptp(made.as_array()) > 0


def test_a_checkpoint_that_cannot_be_kept_ends_no_fit(
    density: DensityMap, whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(search.checkpoint, "save", full)
    monkeypatch.setattr(search, "SAVE_EVERY", 0.0)
    made = encode(density, options(contour=0.3, checkpoint=tmp_path))
    assert "No space left" in notices(made)["no-checkpoint"]
    np.testing.assert_array_equal(made.as_array(), whole.as_array())


@pytest.mark.parametrize("seam", ["growth", "candidate"])
def test_a_block_siren_that_fails_once_it_has_a_network_keeps_it(
    seam: str, density: DensityMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    if seam == "growth":
        stored: Callable[..., Any] = blocks._stored_result
        answers = iter([stored, failing])

        def answer(*given: Any) -> Any:
            return next(answers)(*given)

        monkeypatch.setattr(blocks, "_stored_result", answer)
        monkeypatch.setattr(blocks._Rounds, "met", False)
    else:
        step = blocks.BlockTraining._step

        def until_there(self: Any, *given: Any) -> Any:
            return step(self, *given) if self.best is None else failing()

        monkeypatch.setattr(blocks.BlockTraining, "_step", until_there)
    made = encode(density, options(arch="siren"))
    code = "attempt-failed" if seam == "growth" else "cut-short"
    assert "injected" in notices(made)[code] and np.ptp(made.as_array()) > 0


@pytest.fixture
def fitted(tmp_path: Path, density: DensityMap, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    """A command that encodes, its fit done already; the output is a.nmap."""
    write_map(density, tmp_path / "a.mrc")
    made = neural_map(siren(8, 1), GRID, resolution=8.0, record={"fit": {"seed": 0}})
    monkeypatch.setattr("nmap.fit.encode.encode", lambda *_, **__: made)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    return ("encode", tmp_path / "a.mrc", tmp_path / "a.nmap", "--thumbnail", "-q")


LEFT_OUT = {
    "nmap.container.codec.thumbnails": "thumbnail",
    "nmap.container.codec.build_dual": "HDF5 side",
    "nmap.container.codec.pack": "record",
}


@pytest.mark.parametrize("seam", LEFT_OUT)
def test_what_fails_beside_the_network_is_left_out_of_the_file(
    seam: str, fitted: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seam, failing)
    ran = run(*fitted)
    assert ran.code == 0 and f"written without its {LEFT_OUT[seam]}" in ran.err, ran
    assert open_map(fitted[2]).grid == GRID


@pytest.mark.parametrize("seam", ["nmap_cli.encode.summary", "nmap_cli.encode.goal_of"])
def test_what_fails_after_the_file_is_written_leaves_it_and_says_so(
    seam: str, fitted: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seam, failing)
    ran = run(*fitted)
    assert ran.code == 4 and f"{fitted[2]} is written" in ran.err and open_map(fitted[2]).grid == GRID


def test_a_fit_whose_disk_is_full_at_its_end_is_kept_elsewhere(
    fitted: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fitted[2].parent

    def full(partial: Path, target: Path, overwrite: bool) -> None:
        if target.parent == folder:
            raise OSError(errno.ENOSPC, "No space left on device")
        partial.replace(target)

    monkeypatch.setattr(atomic, "_publish", full)
    ran = run(*fitted)
    (kept,) = (folder / "tmp").iterdir()
    assert ran.code == 4 and f"kept as {kept}" in ran.err and open_map(kept).grid == GRID
    assert not fitted[2].exists() and not list(folder.glob(".nmap-*"))


class FullDisk(io.StringIO):
    """A stream whose disk is full."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_progress_that_nobody_can_read_ends_no_fit() -> None:
    with ProgressLine(stream=FullDisk()) as line:
        line.warn("said into the void")
        line.show("fitting", 0.5)
