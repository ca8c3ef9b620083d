"""An archive on paper: laws are found again, and workers are shared out as scheduling theory says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.archive import (
    ENTRIES,
    PACKED,
    Cost,
    draw_archive,
    fit_law,
    gpu_law,
    laws,
    plan,
    simulate,
    table_of,
)

RESULTS = Path(__file__).parents[2] / "bench" / "results"
COSTS = [
    Cost(f"m{i}", "radial-basis", v, e, 2 + 3e-6 * v + 1e-4 * e, 2e8 + 60 * v, 5e3 + 0.8 * e)
    for i, (v, e) in enumerate([(1e6, 2e4), (8e6, 3e4), (14e6, 1.5e5), (33e6, 6e4)])
]


def test_a_law_is_found_again_from_maps_that_keep_it() -> None:
    found = laws(COSTS, "radial-basis")
    assert (found["seconds"].each, found["seconds"].voxel, found["seconds"].element) == pytest.approx(
        (2, 3e-6, 1e-4)
    )
    assert found["size"].element == pytest.approx(0.8)
    assert found["seconds"].off < 1e-9


def test_no_part_of_a_law_is_negative_and_its_error_is_told() -> None:
    found = fit_law(np.array([1.0, 2.0, 3.0]), np.zeros(3), np.array([3.0, 2.0, 1.0]))
    assert min(found.each, found.voxel, found.element) >= 0
    assert found.off > 0.2


def test_equal_jobs_on_workers_that_divide_them_take_their_quotient() -> None:
    found = simulate(np.full(100, 86_400.0), 25, 0.0)
    assert (found["days"], found["used"], found["straggling_hours"]) == pytest.approx((4, 1, 0))


def test_one_long_job_at_the_end_straggles_and_at_the_beginning_does_not() -> None:
    # Graham 1969: list scheduling of 2, 2, ..., then one of 10.
    short, long = np.full(10, 2.0), np.array([10.0])
    assert simulate(np.concatenate([short, long]), 2, 0.0)["days"] * 86_400 == pytest.approx(20)
    assert simulate(np.concatenate([long, short]), 2, 0.0)["days"] * 86_400 == pytest.approx(16, abs=1e-6)


def test_a_run_cannot_be_faster_than_its_own_process_hands_out_jobs() -> None:
    assert simulate(np.full(1000, 0.001), 10_000, 0.5)["days"] * 86_400 >= 500


def test_the_archive_that_is_drawn_agrees_with_what_is_published_of_its_size() -> None:
    voxels, elements = draw_archive(ENTRIES)
    raw = 4 * voxels.mean()
    # The bundled maps pack to 0.08 (masked) to 0.93 (unmasked) of their float32 voxels.
    assert 0.08 < PACKED / raw < 0.93
    assert (elements > 0).all()
    assert draw_archive(1000)[0].tolist() == draw_archive(1000)[0].tolist()


def test_a_plan_tells_of_every_machine() -> None:
    found = plan(COSTS, 0.01, RESULTS, None)
    cores = found["kinds"]["radial-basis"]["cores"]
    assert cores["16"]["largest_first"]["days"] < cores["1"]["largest_first"]["days"] / 15
    assert gpu_law(RESULTS).voxel > 0
    assert "| radial-basis | 1024 |" in table_of(found)
