"""Dask as the engine: a cluster that is killed piece by piece, and programs that were started by hand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import nmap
from bench.batch import BROKEN, survive
from nmap.batch.engine import Dask
from nmap.batch.manifest import read_state

pytest.importorskip("distributed")
ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "spec" / "conformance" / "valid").glob("radial-basis*.nmap"))
# Seconds after which what should have happened has not; no test waits for it as a rule.
PATIENCE = 120


def until(holds: Callable[[], bool]) -> None:
    """Wait for something to be so."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def done_in(folder: Path) -> set[str]:
    """Ids of the maps that a batch says it has decoded."""
    last = read_state(folder).last("decode")
    return {name for name, entry in last.items() if entry["event"] == "done"}


@contextmanager
def program(*arguments: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program of its own, ended at the end."""
    place = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "cli")]),
        "OMP_NUM_THREADS": "1",
    }
    with subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as running:
        try:
            yield running
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)


def test_every_map_is_there_once_after_workers_and_the_whole_run_were_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "cli")]))
    found = survive(count=8, workers=2, every=1.0, work=tmp_path, kills=1)
    assert found["workers_killed"] == 1
    assert found["exit_codes"] == [-signal.SIGKILL, 1]
    assert found["good"] == 8 - len(BROKEN)
    assert set(found["failed"]) == set(BROKEN)
    assert "truncated" in found["failed"]["cut"]


def test_scheduler_and_worker_that_were_started_by_hand_do_the_maps_and_are_missed_when_gone(
    tmp_path: Path,
) -> None:
    where = str(tmp_path / "scheduler.json")
    scheduled = ("distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", where)
    working = ("distributed.cli.dask_worker", "--scheduler-file", where, "--nthreads", "1", "--no-dashboard")
    with (
        program(*scheduled, "--host", "127.0.0.1", folder=tmp_path) as scheduler,
        program(*working, "--preload", "nmap.batch.worker", folder=tmp_path),
    ):
        until(lambda: Path(where).exists())
        import json

        address = json.loads(Path(where).read_text())["address"]
        common = ("nmap", "batch", "decode", *map(str, EXAMPLES), "--scheduler", address)
        with program(*common, "--out", str(tmp_path / "out"), folder=tmp_path) as ran:
            said, errors = ran.communicate(timeout=PATIENCE)
        assert ran.returncode == 0, errors
        assert f"on Dask, {address}" in said.decode()
        for path in EXAMPLES:
            assert (tmp_path / "out" / f"{path.stem}.mrc").stat().st_size > 1024
        with program(*common, "--out", str(tmp_path / "two"), "--shape", "200", folder=tmp_path) as ran:
            until(lambda: bool(done_in(tmp_path / "two")) or ran.poll() is not None)
            os.kill(scheduler.pid, signal.SIGKILL)
            said, errors = ran.communicate(timeout=PATIENCE)
        assert ran.returncode == 4, said
        assert b"does not answer any more" in errors
    done = done_in(tmp_path / "two")
    assert 0 < len(done) < len(EXAMPLES)
    assert all(nmap.read_map(tmp_path / "two" / f"{name}.mrc").grid.shape == (200, 200, 200) for name in done)


def test_an_address_where_no_scheduler_answers_is_a_bad_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cli_files import run

    monkeypatch.setattr("nmap.batch.engine._PATIENCE", 0.5)
    said = run("batch", "decode", EXAMPLES[0], "--out", tmp_path, "--scheduler", "tcp://127.0.0.1:1")
    assert (said.code, "no scheduler with a worker answers there" in said.err) == (2, True)


def test_a_run_leaves_the_environment_of_its_process_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = dict(os.environ)
    with Dask(workers=1, memory=1_000_000_000, device="cpu"):
        pass
    assert dict(os.environ) == before
