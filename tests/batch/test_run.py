"""A run, on an engine that does what a test says: what is done again, what is given up, when it stops."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from nmap.batch.engine import Answer, EngineLost, worker_environments
from nmap.batch.job import Job
from nmap.batch.manifest import Manifest, read_state
from nmap.batch.run import Plan, Tally, make_plan, run
from nmap.errors import OptionError
from nmap.version import __version__

SPARSE = {"event": "failed", "error": {"class": "MemoryError", "message": "no memory", "out_of_memory": True}}


class Scripted:
    """An engine whose answers come from a function of the job and of whether it is alone."""

    words = "a script"

    def __init__(self, answer: Callable[[Job, bool], Answer], slots: int = 2) -> None:
        self.answer, self.slots, self.is_alone = answer, slots, False
        self.most, self.waiting, self.asked = 0, list[Job](), list[tuple[str, bool]]()

    def submit(self, job: Job) -> None:
        self.waiting.append(job)
        self.most = max(self.most, len(self.waiting))

    def next(self, patience: float) -> Answer | None:
        job = self.waiting.pop(0)
        self.asked.append((job.id, self.is_alone))
        return self.answer(job, self.is_alone)

    def alone(self) -> None:
        assert self.waiting == []
        self.is_alone, self.slots = True, 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def jobs_of(folder: Path, names: str) -> list[Job]:
    for name in names:
        if not (folder / f"{name}.mrc").exists():
            (folder / f"{name}.mrc").write_text(name)
    return [
        Job(
            name,
            "encode",
            str(folder / f"{name}.mrc"),
            str(folder / "out" / f"{name}.nmap"),
            options={"seed": 1},
        )
        for name in names
    ]


def done(job: Job, alone: bool = False) -> Answer:
    """As a worker does it: it writes the file, and says so."""
    Path(job.output).parent.mkdir(exist_ok=True)
    Path(job.output).write_text(f"map {job.id}")
    result: Mapping[str, Any] = {
        "event": "done",
        "files": job.stamps(),
        "versions": {"nmap": __version__},
        "output": {"bytes": os.path.getsize(job.output)},
    }
    return Answer(job, result)


def ran(folder: Path, engine: Scripted, names: str, **more: Any) -> Tally:
    jobs = jobs_of(folder, names)
    with Manifest(folder) as manifest:
        return run(make_plan(jobs, read_state(folder)), engine, manifest, **more)


def test_a_run_keeps_as_many_jobs_in_flight_as_there_are_slots(tmp_path: Path) -> None:
    engine = Scripted(done, slots=3)
    tally = ran(tmp_path, engine, "abcdefg")
    assert (tally.done, tally.failed, engine.most) == (7, [], 3)


def test_a_map_that_loses_its_worker_is_done_again_alone_after_all_others(tmp_path: Path) -> None:
    engine = Scripted(
        lambda job, alone: done(job) if alone or job.id != "a" else Answer(job, {}, died="killed")
    )
    tally = ran(tmp_path, engine, "abc")
    assert (tally.done, tally.failed) == (3, [])
    assert engine.asked == [("a", False), ("b", False), ("c", False), ("a", False), ("a", True)]


def test_a_map_that_takes_more_memory_than_its_worker_may_is_done_again_alone_at_once(tmp_path: Path) -> None:
    def answer(job: Job, alone: bool) -> Answer:
        return done(job) if alone or job.id != "a" else Answer(job, {}, died="too large", short=True)

    engine = Scripted(answer)
    assert ran(tmp_path, engine, "abc").done == 3
    assert engine.asked == [("a", False), ("b", False), ("c", False), ("a", True)]


def test_a_map_that_always_kills_its_worker_is_named_with_the_cause_and_stops_no_other(
    tmp_path: Path,
) -> None:
    engine = Scripted(lambda job, alone: Answer(job, {}, died="killed") if job.id == "a" else done(job))
    tally = ran(tmp_path, engine, "abc")
    assert (tally.done, tally.failed) == (2, ["a"])
    assert (engine.asked.count(("a", False)), engine.asked.count(("a", True))) == (2, 3)
    error = read_state(tmp_path).of("encode", "a").last["error"]
    assert (error["class"], error["code"]) == ("WorkerDied", 4)
    assert "tried 5 times, the last time alone" in error["message"]


def test_a_map_without_memory_is_tried_once_more_alone(tmp_path: Path) -> None:
    engine = Scripted(lambda job, alone: Answer(job, SPARSE) if job.id == "a" else done(job))
    tally = ran(tmp_path, engine, "ab")
    assert (tally.done, tally.failed, engine.asked) == (1, ["a"], [("a", False), ("b", False), ("a", True)])
    assert read_state(tmp_path).of("encode", "a").last["error"]["class"] == "OutOfMemory"


def test_a_full_disk_ends_the_run_and_its_maps_are_done_by_the_next(tmp_path: Path) -> None:
    full = Scripted(
        lambda job, alone: Answer(job, {}, stopped="no space left") if job.id == "b" else done(job), 1
    )
    tally = ran(tmp_path, full, "abcd")
    assert (tally.done, tally.failed, tally.stopped) == (1, [], "disk-full")
    again = Scripted(done)
    assert ran(tmp_path, again, "abcd").done == 3
    assert [name for name, _ in again.asked] == ["b", "c", "d"]


def test_a_lost_scheduler_ends_the_run_with_all_that_was_done(tmp_path: Path) -> None:
    def lost(job: Job, alone: bool) -> Answer:
        if job.id == "c":
            raise EngineLost("gone")
        return done(job)

    tally = ran(tmp_path, Scripted(lost), "abcd")
    assert (tally.done, tally.stopped, tally.reason) == (2, "engine-lost", "gone")
    assert ran(tmp_path, Scripted(done), "abcd").total == 2


def test_a_wish_to_stop_begins_nothing_more_and_waits_for_what_is_in_flight(tmp_path: Path) -> None:
    engine = Scripted(done, slots=2)
    tally = ran(tmp_path, engine, "abcdef", should_stop=lambda: len(engine.asked) >= 1)
    assert (tally.stopped, tally.done, tally.running) == ("interrupted", 2, 0)


def test_a_second_run_does_nothing_and_a_changed_map_alone_is_done_again(tmp_path: Path) -> None:
    ran(tmp_path, Scripted(done), "abc")
    jobs = jobs_of(tmp_path, "abc")
    (tmp_path / "b.mrc").write_text("another map")
    plan = make_plan(jobs, read_state(tmp_path))
    assert [job.id for job in plan.jobs] == ["b"]
    assert plan.kept == ["a", "c"]
    assert plan.jobs[0].replace


def test_other_options_another_version_and_a_lost_output_are_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(tmp_path, Scripted(done), "ab")
    jobs = jobs_of(tmp_path, "ab")
    state = read_state(tmp_path)
    other = [Job(job.id, job.task, job.source, job.output, options={"seed": 2}) for job in jobs]
    assert len(make_plan(other, state).jobs) == 2
    Path(jobs[0].output).unlink()
    assert [job.id for job in make_plan(jobs, state).jobs] == ["a"]
    monkeypatch.setattr("nmap.batch.run.__version__", "999")
    assert len(make_plan(jobs, state).jobs) == 2


def test_a_map_that_was_only_touched_is_told_by_its_sha256(tmp_path: Path) -> None:
    import hashlib

    def with_digest(job: Job, alone: bool) -> Answer:
        digest = hashlib.sha256(Path(job.source).read_bytes()).hexdigest()
        return Answer(job, {**done(job).result, "sha256": digest})

    ran(tmp_path, Scripted(with_digest), "a")
    os.utime(tmp_path / "a.mrc", ns=(1, 1))
    jobs = [
        Job("a", "encode", str(tmp_path / "a.mrc"), str(tmp_path / "out" / "a.nmap"), options={"seed": 1})
    ]
    assert make_plan(jobs, read_state(tmp_path)).kept == ["a"]
    (tmp_path / "a.mrc").write_text("z")
    assert len(make_plan(jobs, read_state(tmp_path)).jobs) == 1


def test_what_failed_is_left_alone_until_it_is_asked_for_again(tmp_path: Path) -> None:
    bad = {
        "event": "failed",
        "error": {"class": "MapError", "message": "no map"},
        "versions": {"nmap": __version__},
    }
    engine = Scripted(lambda job, alone: Answer(job, {**bad, "files": job.stamps()}))
    assert ran(tmp_path, engine, "a").failed == ["a"]
    jobs, state = jobs_of(tmp_path, "a"), read_state(tmp_path)
    assert make_plan(jobs, state) == Plan([], [], ["a"])
    assert len(make_plan(jobs, state, retry_failed=True).jobs) == 1


def test_a_file_that_this_batch_did_not_make_is_not_replaced(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, "a")
    Path(jobs[0].output).parent.mkdir()
    Path(jobs[0].output).write_text("of somebody else")
    with pytest.raises(OptionError, match="not this batch's own"):
        make_plan(jobs, read_state(tmp_path))
    assert make_plan(jobs, read_state(tmp_path), force=True).jobs[0].replace


def test_in_one_process_a_map_whose_start_never_ends_is_given_up_at_last(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, "ab")
    with Manifest(tmp_path) as manifest:
        for _ in range(3):
            manifest.append("started", "encode", "a")
        manifest.append("started", "encode", "b")
        manifest.append("stopped", "encode", "b")
    plan = make_plan(jobs, read_state(tmp_path), serial=True)
    assert ([job.id for job in plan.jobs], plan.failed) == (["b"], ["a"])
    assert len(make_plan(jobs, read_state(tmp_path)).jobs) == 2


def test_each_gpu_has_a_worker_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert [one["CUDA_VISIBLE_DEVICES"] for one in worker_environments("auto", None)] == ["2", "5"]
    assert [one["CUDA_VISIBLE_DEVICES"] for one in worker_environments("cuda", 3)] == ["2", "5", "2"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert len(worker_environments("auto", None)) == 3
    assert all(one["OMP_NUM_THREADS"] == "1" for one in worker_environments("cpu", None))
