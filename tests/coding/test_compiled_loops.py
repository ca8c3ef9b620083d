"""Loops that numba compiles give what they give in plain Python, to the bit; without numba all works as well."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nmap.coding import lattice
from nmap.coding.codings import decode_tensor, encode_matrices
from nmap.errors import FormatError
from nmap.grid import Grid
from nmap.machine import compiled
from nmap.machine.compiled import Loop
from nmap.model.radial_basis import centres_spectrum
from nmap.point_group import PointGroup

pytest.importorskip("numba")


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], tuple[Any, Any]]:
    """Runs some work with loops in plain Python, then compiled."""

    def run(work: Callable[[], Any]) -> tuple[Any, Any]:
        chosen = Loop.chosen
        monkeypatch.setattr(Loop, "chosen", lambda loop, steps: (loop.plain, False))
        plain = work()
        monkeypatch.setattr(Loop, "chosen", chosen)
        monkeypatch.setattr(compiled, "PATIENCE", -1)
        return plain, work()

    return run


def weights_of(shape: tuple[int, int, int], share: float, size: float) -> np.ndarray:
    rng = np.random.default_rng(7)
    z, y, x = np.indices(shape) & 1
    values = np.rint(rng.laplace(0, size, shape)) * (rng.random(shape) < share)
    return np.clip(values * ((z == y) & (y == x)), -127, 127).astype(np.int8)


@pytest.mark.parametrize(("share", "size"), [(0.02, 1), (0.5, 3), (1.0, 90)])
def test_a_lattice_is_coded_and_decoded_alike(both: Any, share: float, size: float) -> None:
    weights = weights_of((44, 36, 40), share, size)
    plain, quick = both(lambda: lattice.pack(weights))
    assert plain == quick
    plain, quick = both(lambda: lattice.unpack(*plain, weights.shape))  # type: ignore[arg-type]
    np.testing.assert_array_equal(plain, weights)
    np.testing.assert_array_equal(quick, weights)


def test_damaged_streams_decode_alike_or_are_refused_in_the_same_words(both: Any) -> None:
    rng = np.random.default_rng(8)
    streams = [bytes(n) for n in (0, 30, 700)] + [rng.bytes(n) for n in (1, 100, 5000)] + [b"\xff" * 90]

    def read(stream: bytes) -> bytes:
        try:
            return lattice.unpack(stream, b"", (40, 40, 40)).tobytes()
        except FormatError as error:
            return str(error).encode()

    plain, quick = both(lambda: [read(stream) for stream in streams])
    assert plain == quick and len(set(plain)) == len(plain)


def test_matrices_are_coded_and_decoded_alike(both: Any) -> None:
    rng = np.random.default_rng(9)
    matrices = [np.rint(rng.laplace(0, w, (90, 70))).clip(-32767, 32767).astype(int) for w in (0.3, 20, 9000)]
    plain, quick = both(lambda: encode_matrices(matrices, [1, 0.5, 2]))
    assert plain.arrays[""].tobytes() == quick.arrays[""].tobytes()
    plain, quick = both(lambda: decode_tensor(plain))
    np.testing.assert_array_equal(plain, quick)
    np.testing.assert_array_equal(plain[:6300], matrices[0].ravel())


def test_copies_between_lattice_points_are_added_alike(both: Any) -> None:
    rng = np.random.default_rng(10)
    sites, weights = rng.integers(0, 20, (300, 3)), rng.integers(-9, 9, 300).astype(np.float32)
    box, group = Grid((20, 20, 20), (1.0, 1.0, 1.0)), PointGroup("D3", (9.3, 10.1, 9.8))
    plain, quick = both(lambda: centres_spectrum(sites, weights, (20, 20, 20), box, group))
    assert (plain == quick).all() and np.abs(plain).max() > 1


def test_a_short_job_and_one_without_numba_stay_in_plain_python(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop(lambda a: a, "i8(i8)")
    monkeypatch.setattr(Loop, "steps", 0)
    assert loop.chosen(compiled.PATIENCE) == (loop.plain, False)
    monkeypatch.setitem(sys.modules, "numba", None)
    assert loop.chosen(1) == (loop.plain, False)


@pytest.mark.parametrize(
    "failure",
    [
        RuntimeError("cannot cache function: no locator available"),
        ModuleNotFoundError("No module named 'x'"),
        EOFError(),
    ],
)
def test_a_loop_is_compiled_where_nothing_can_be_kept_or_what_was_kept_cannot_be_read(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numba

    made = numba.njit

    def refuse(*words: Any, **options: Any) -> Any:
        if options.get("cache"):
            raise failure
        return made(*words, **options)

    monkeypatch.setattr(numba, "njit", refuse)
    monkeypatch.setattr(Loop, "steps", compiled.PATIENCE)
    run, is_compiled = Loop(lambda a: a + 1, "i8(i8)").chosen(1)
    assert is_compiled and run(4) == 5


def test_where_numba_is_switched_off_loops_run_on_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    monkeypatch.setattr(Loop, "steps", compiled.PATIENCE)
    loop = Loop(lambda a: a + 1, "i8(i8)")
    assert loop.chosen(1) == (loop.plain, False)
