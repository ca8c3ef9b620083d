"""Without numba what would take too long to read is refused, and nothing else is."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_files import run

from nmap.coding import lattice
from nmap.coding.codings import decode_tensor, encode_matrices
from nmap.container import save
from nmap.errors import LimitError
from nmap.grid import Grid
from nmap.machine import compiled
from nmap.machine.compiled import SECONDS_VARIABLE, Loop, Patience
from nmap.model.frame import Frame
from nmap.neural_map import NeuralMap

LATTICE = (48, 48, 48)


@pytest.fixture(autouse=True)
def without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Loop, "chosen", lambda loop, steps: (loop.plain, False))


def some_weights() -> np.ndarray:
    z, y, x = np.indices(LATTICE) & 1
    values = np.random.default_rng(0).integers(-3, 4, LATTICE)
    return np.asarray(values * ((z == y) & (y == x)), np.int8)


def a_lattice() -> Callable[[], object]:
    packed = lattice.pack(some_weights())
    return lambda: lattice.unpack(*packed, LATTICE)


def some_matrices() -> Callable[[], object]:
    coded = encode_matrices([np.random.default_rng(0).integers(-9, 10, (150, 150))], [0.5])
    return lambda: decode_tensor(coded)


@pytest.mark.parametrize("make", [a_lattice, some_matrices], ids=lambda make: make.__name__)
def test_what_would_take_too_long_is_refused_with_two_ways_in(
    make: Callable[[], Callable[[], object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = make()
    read()
    monkeypatch.setenv(SECONDS_VARIABLE, "0.001")
    with pytest.raises(
        LimitError, match=rf"numbers would take .*'nmap-em\[fast\]', or set {SECONDS_VARIABLE}"
    ):
        read()
    monkeypatch.setenv(SECONDS_VARIABLE, "inf")
    read()


def test_writing_is_never_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECONDS_VARIABLE, "1e-9")
    lattice.pack(some_weights())


@pytest.mark.parametrize("said", ["soon", "-1", "0", "nan"])
def test_a_number_of_seconds_that_is_none_is_named(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECONDS_VARIABLE, said)
    with pytest.raises(LimitError, match=f"{SECONDS_VARIABLE} '{said}'"):
        Patience(1)


def test_a_refusal_comes_as_soon_as_the_speed_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(compiled.time, "thread_time", lambda: now[0])
    patience = Patience(1_000_000)
    now[0] = 1.9
    patience.count(1000)  # too early to tell
    now[0] = 2.1
    with pytest.raises(LimitError, match=r"1000000 coded numbers would take about 10[0-9][0-9] s"):
        patience.count(1000)


def test_an_end_that_is_slower_than_the_beginning_is_refused_when_time_is_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(compiled.time, "thread_time", lambda: now[0])
    patience = Patience(1_000_000)
    now[0] = 5.0
    patience.count(900_000)
    now[0] = compiled.MOST_SECONDS + 1
    with pytest.raises(LimitError):
        patience.count(99_999)
    assert math.isfinite(compiled.MOST_SECONDS)


def test_the_command_line_says_so_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nmap.coding.codings import encode_lattice

    frame = Frame(Grid((30, 30, 30), (1.5,) * 3), band_limit=5.0, lattice=LATTICE)
    made = NeuralMap.from_tensors("radial-basis", {}, {"weights": encode_lattice(some_weights())}, frame)
    save(made, tmp_path / "a.nmap")
    monkeypatch.setenv(SECONDS_VARIABLE, "0.001")
    for words in (
        ("inspect", tmp_path / "a.nmap"),
        ("decode", tmp_path / "a.nmap", "-o", tmp_path / "a.mrc"),
    ):
        ran = run(*words)
        assert ran.code == 4 and ran.err.count("\n") == 1 and "nmap-em[fast]" in ran.err, ran
    assert not (tmp_path / "a.mrc").exists()
    monkeypatch.setenv(SECONDS_VARIABLE, "soon")
    ran = run("inspect", tmp_path / "a.nmap")
    assert ran.code == 4 and f"{SECONDS_VARIABLE} 'soon'" in ran.err, ran  # the file is not to blame
