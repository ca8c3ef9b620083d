"""Sharing tiles of work out among threads."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from nmap.machine import threads
from nmap.machine.threads import in_tiles, workers


def blas_threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 1000])
@pytest.mark.parametrize("number", ["1", "3"])
def test_tiles_cover_every_item_once(monkeypatch: pytest.MonkeyPatch, count: int, number: str) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", number)
    seen = np.zeros(count, int)

    def visit(part: slice) -> None:
        assert part.stop - part.start <= 8
        seen[part] += 1

    in_tiles(visit, count, 8)
    assert (seen == 1).all()


def test_products_run_in_one_thread_inside_and_as_before_outside() -> None:
    threads._blas.cache_clear()  # libraries that other tests have loaded since count too
    before, inside = blas_threads(), []
    in_tiles(lambda part: inside.append(blas_threads()), 4, 1)
    assert all(set(counts) == {1} for counts in inside)
    assert blas_threads() == before


def test_overlapping_calls_leave_the_thread_count_as_it_was() -> None:
    before = blas_threads()
    first, second = threading.Event(), threading.Event()

    def early(part: slice) -> None:
        first.set()
        second.wait(5)

    def late() -> None:
        first.wait(5)
        in_tiles(lambda part: second.set(), 2, 1)

    other = threading.Thread(target=late)
    other.start()
    in_tiles(early, 2, 1)
    other.join()
    assert blas_threads() == before


def test_an_error_in_a_tile_comes_out_and_the_thread_count_is_restored() -> None:
    before = blas_threads()

    def fail(part: slice) -> None:
        raise ZeroDivisionError(f"tile {part.start}")

    with pytest.raises(ZeroDivisionError, match="tile 0"):
        in_tiles(fail, 4, 1)
    assert blas_threads() == before


@pytest.mark.parametrize(("value", "expected"), [("1", 1), ("3", 3)])
def test_threads_follow_omp_num_threads(monkeypatch: pytest.MonkeyPatch, value: str, expected: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert workers() == expected


@pytest.mark.parametrize("value", ["", "0", "many", "4,2"])
def test_threads_are_at_least_one_whatever_omp_num_threads_says(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert workers() >= 1
