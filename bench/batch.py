"""What `nmap batch` bears and how fast it is: killed workers and schedulers, two workers against one, many files.

`python -m bench.batch survive`, `speed`, `inspect`, `overhead` or `apart`; each prints its figures as JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.command import run_command
from bench.machine import describe_machine, describe_versions
from nmap.batch.manifest import read_state
from nmap.grid import Grid
from nmap.maps import DensityMap, read_map, write_map

ROOT = Path(__file__).parent.parent
BUNDLED = (ROOT / "examples" / "emd_3488.map.gz", ROOT / "tests" / "data" / "EMD-3197.map")
BROKEN = ("no-map", "cut", "not-finite", "no-voxel-size", "constant")
# Exit codes of a run that came to its end, with or without maps that failed.
_ENDED = (0, 1)
# More runs than one that is killed and one that ends mean that something does not hold.
_MOST_RUNS = 3


def make_maps(folder: Path, count: int, side: int = 20, seed: int = 0) -> Path:
    """Small maps, crops of the bundled ones at many places, five of them broken, and a list with their options.

    Args:
        folder: for the maps; empty.
        count: maps in all.
        side: voxels of a crop.
        seed: of places and options.

    Returns:
        The list, JSON lines.
    """
    draw = random.Random(seed)
    sources = [source for path in BUNDLED if min((source := read_map(path)).grid.shape) >= side]
    rows = []
    for number in range(count - len(BROKEN)):
        source = sources[number % len(sources)]
        at = [draw.randint(n // 4, max(3 * n // 4 - side, n // 4)) for n in source.grid.shape]
        at = [min(a, n - side) for a, n in zip(at, source.grid.shape, strict=True)]
        chosen = tuple(slice(a, a + side) for a in at)
        region = source.grid.region((at[0], at[1], at[2]), (side, side, side))
        name = f"crop_{number:03d}.mrc"
        write_map(DensityMap(np.ascontiguousarray(source.values[chosen]), region), folder / name)
        options = {
            "resolution": round(draw.uniform(2.5, 4.0) * max(region.voxel_size), 2),
            "seed": number,
            "preset": draw.choice(["preview", "faithful"]),
            "no_hdf5": draw.choice([True, False]),
        }
        rows.append({"source": name, **options})
    for name in BROKEN:
        _break(folder / f"{name}.mrc", name)
        rows.append({"source": f"{name}.mrc", "resolution": 5.0})
    draw.shuffle(rows)
    made = folder / "list.jsonl"
    made.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return made


def _break(path: Path, how: str) -> None:
    """Write a file that looks like a map and cannot be one."""
    values = np.zeros((16, 16, 16), np.float32)
    if how != "constant":
        values[4:12, 4:12, 4:12] = 1.0
    write_map(DensityMap(values, Grid((16, 16, 16), (1.0, 1.0, 1.0))), path)
    data = bytearray(path.read_bytes())
    if how == "no-map":
        data = bytearray(b"this is no map\n" * 100)
    elif how == "cut":
        data = data[: len(data) // 2]
    elif how == "not-finite":
        data[-4:] = np.float32("nan").tobytes()
    elif how == "no-voxel-size":
        data[40:52] = bytes(12)  # the cell's edges, MRC2014 words 11 to 13
    path.write_bytes(data)


def command(maps: Path, out: Path, *more: str) -> list[str]:
    """The command that encodes them: a kind and options that cost little."""
    common = ["--arch", "radial-basis", "--mask", "none", "--symmetry", "C1", "--effort", "low"]
    return [sys.executable, "-m", "nmap", "batch", "encode", str(maps), "--out", str(out), *common, *more]


def survive(count: int, workers: int, every: float, work: Path, kills: float = math.inf) -> dict[str, Any]:
    """Encode many maps while workers are killed, and once everything; then again, until it is done.

    Args:
        count: maps, five of them broken.
        workers: of the cluster.
        every: seconds between two kills of a worker.
        work: empty folder.
        kills: of workers in all.

    Returns:
        What came of it; raises where a map is missing, twice there, or damaged, or anything else is on the disk.
    """
    (work / "maps").mkdir()
    listed = make_maps(work / "maps", count)
    out = work / "out"
    killed, began = 0, time.monotonic()
    codes: list[int] = []
    while not codes or codes[-1] not in _ENDED:
        with (
            open(work / "stderr", "wb") as errors,
            subprocess.Popen(
                [*command(listed, out, "--workers", str(workers), "--quiet")],
                stderr=errors,
                start_new_session=True,
            ) as process,
        ):
            # The first run is killed as a whole, its scheduler with it, when a third of the maps are done.
            until = count + 1 if codes else count // 3
            killed += _chaos(process, out, every, until, kills - killed)
            codes.append(process.wait())
        if codes[-1] not in (*_ENDED, -signal.SIGKILL) or len(codes) > _MOST_RUNS:
            raise AssertionError(f"exit code {codes[-1]}: {(work / 'stderr').read_text()}")
    found = check(listed, out)
    return {
        "maps": count,
        "workers_killed": killed,
        "schedulers_killed": 1,
        "exit_codes": codes,
        "seconds": round(time.monotonic() - began, 1),
        **found,
    }


def _chaos(process: subprocess.Popen[bytes], out: Path, every: float, until: int, kills: float) -> int:
    """Kill a worker now and then; the whole at the end, if there is one before its own."""
    killed, last = 0, time.monotonic()
    while process.poll() is None:
        time.sleep(0.2)
        if sum(1 for _ in out.glob("*.nmap")) >= until:
            os.kill(process.pid, signal.SIGKILL)
            break
        if killed < kills and time.monotonic() - last >= every and _in_flight(out):
            last = time.monotonic()
            victims = list(workers_of(process.pid))
            if victims:
                os.kill(random.choice(victims), signal.SIGKILL)
                killed += 1
    return killed


def _in_flight(out: Path) -> bool:
    """Whether a map was begun that has no end yet: before, there is no worker to lose one."""
    return any(record.unfinished for record in read_state(out).records.values())


def workers_of(parent: int) -> Iterator[int]:
    """Process numbers of the workers that a run began: its children that were spawned, but for their tracker."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after = stat.read_text().rpartition(")")[2].split()
            line = (stat.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(after[1]) == parent and b"spawn_main" in line:
            yield int(stat.parent.name)


def check(listed: Path, out: Path) -> dict[str, Any]:
    """Refuse a batch that lacks a map, has one twice, has a damaged one, or has left anything else on the disk."""
    from nmap.container import open_file

    rows = [json.loads(line) for line in listed.read_text(encoding="utf-8").splitlines()]
    names = {Path(row["source"]).stem for row in rows}
    good, last = names - set(BROKEN), read_state(out).last("encode")
    done = {name for name, entry in last.items() if entry["event"] == "done"}
    failed = {name: entry["error"]["message"] for name, entry in last.items() if entry["event"] == "failed"}
    there = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    wanted = {f"{name}.nmap" for name in good} | {f"logs/{name}.log" for name in names}
    wanted |= {"manifest.jsonl", "catalogue.csv"}
    there.discard("catalogue.parquet")
    for name in sorted(good & done):
        opened = open_file(out / f"{name}.nmap")
        if opened.sizes["total"] != last[name]["output"]["bytes"]:
            raise AssertionError(f"{name}: its manifest tells of another file")
    if done != good or set(failed) != set(BROKEN):
        raise AssertionError(f"missing {sorted(good - done)}, failed {failed}")
    if there != wanted:
        raise AssertionError(f"on the disk {sorted(there - wanted)}, missing {sorted(wanted - there)}")
    return {"good": len(done), "failed": failed}


def speed(count: int, workers: Sequence[int], work: Path) -> dict[str, Any]:
    """Maps an hour by number of workers, from the first map's begin to the last one's end."""
    (work / "maps").mkdir()
    listed = make_maps(work / "maps", count + len(BROKEN), side=48)
    rows = []
    for number in workers:
        out = work / f"out-{number}"
        began = time.monotonic()
        load = os.getloadavg()[0]
        subprocess.run(
            [*command(listed, out, "--workers", str(number), "--quiet")],
            stderr=subprocess.DEVNULL,
            check=False,
        )
        whole = time.monotonic() - began
        rows.append(
            {"workers": number, "whole_seconds": round(whole, 1), "load_before": load, **_pace(out, number)}
        )
    base = rows[0]["maps_per_hour"]
    for row in rows:
        row["times_one"] = round(row["maps_per_hour"] / base, 2)
    return {"maps": count, "rows": rows}


def _pace(out: Path, workers: int) -> dict[str, Any]:
    """Maps an hour by the manifest, without each worker's first maps, which wait for torch.

    "busy" is the share of the workers' time that jobs took: on a machine with other work to do it says whether the
    workers were kept at it, where the clock cannot.
    """
    from datetime import datetime

    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    done = [line for line in lines if line["event"] == "done"]
    ends = np.array([datetime.fromisoformat(line["time"]).timestamp() for line in done])
    begins = ends - [line["seconds"] for line in done]
    first, last = np.sort(ends)[max(len(ends) // 10, workers) - 1], ends.max()
    inside = np.clip(ends, first, last) - np.clip(begins, first, last)
    return {
        "maps_per_hour": round(3600 * int((ends > first).sum()) / (last - first), 1),
        "busy": round(float(inside.sum()) / (workers * (last - first)), 3),
        "cpu_seconds": round(sum(line["cpu_seconds"] for line in done), 1),
    }


def inspect(count: int, work: Path) -> dict[str, Any]:
    """Seconds that `nmap batch inspect` takes for many files: the conformance files, over and over."""
    files = sorted((ROOT / "spec" / "conformance" / "valid").glob("*.nmap"))
    small = [path for path in files if path.name != "bare-siren-f32.nmap"]
    for number in range(count):
        shutil.copy(small[number % len(small)], work / f"{number:05d}.nmap")
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "nmap", "batch", "inspect", str(work), "--quiet"], check=True)
    return {"files": count, "seconds": round(time.monotonic() - began, 2)}


def overhead(count: int, workers: int) -> dict[str, Any]:
    """Milliseconds of a job that does nothing, by the engine alone and with the manifest."""
    from nmap.batch.engine import Dask, Serial
    from nmap.batch.job import Job
    from nmap.batch.manifest import Manifest
    from nmap.batch.run import make_plan, run

    rows = {}
    for name, engine in (("serial", Serial()), (f"dask, {workers} workers", Dask(workers=workers))):
        with tempfile.TemporaryDirectory() as folder, engine, Manifest(Path(folder)) as manifest:
            # Files that are not there: a job is refused at once, and all the rest is overhead.
            jobs = [Job(f"{i:05d}", "decode", str(Path(folder, f"{i}.nmap"))) for i in range(count)]
            began = time.monotonic()
            run(make_plan(jobs, read_state(Path(folder))), engine, manifest)
            rows[name] = round(1000 * (time.monotonic() - began) / count, 3)
    return {"jobs": count, "milliseconds_a_job": rows}


def apart(work: Path) -> dict[str, Any]:
    """A scheduler and a worker as separate programs in two network namespaces; needs root, and `ip` of iproute2.

    They see each other over one virtual cable alone, and share the files.
    """
    names, addresses = ("nmap-batch-a", "nmap-batch-b"), ("10.231.7.1", "10.231.7.2")
    programs: list[subprocess.Popen[bytes]] = []

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True)

    def within(name: str, *arguments: str) -> list[str]:
        return ["ip", "netns", "exec", name, sys.executable, "-m", *arguments]

    try:
        for name in names:
            ip("netns", "add", name)
        ip(
            "link",
            "add",
            "nmapb0",
            "netns",
            names[0],
            "type",
            "veth",
            "peer",
            "name",
            "nmapb1",
            "netns",
            names[1],
        )
        for number, (name, address) in enumerate(zip(names, addresses, strict=True)):
            ip("-n", name, "address", "add", f"{address}/24", "dev", f"nmapb{number}")
            ip("-n", name, "link", "set", f"nmapb{number}", "up")
            ip("-n", name, "link", "set", "lo", "up")
        scheduler = f"tcp://{addresses[0]}:8786"
        common = ("--no-dashboard",)
        for name, line in (
            (names[0], ("distributed.cli.dask_scheduler", "--host", addresses[0], "--port", "8786", *common)),
            (names[1], ("distributed.cli.dask_worker", scheduler, "--nthreads", "1", *common)),
        ):
            programs.append(subprocess.Popen(within(name, *line), stderr=subprocess.DEVNULL, cwd=work))
        (work / "maps").mkdir()
        listed = make_maps(work / "maps", 3 + len(BROKEN))
        encode = command(listed, work / "out", "--scheduler", scheduler, "--quiet")
        subprocess.run([*within(names[0], *encode[2:])], stderr=subprocess.DEVNULL, check=False)
        return check(listed, work / "out")
    finally:
        for program in programs:
            program.kill()
            program.wait()
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one of the measurements."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.batch", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("what", choices=["survive", "speed", "inspect", "overhead", "apart"])
    parser.add_argument("--count", type=int, help="maps, files or jobs: 200, 24, 2000, 2000")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--every", type=float, default=30.0, help="seconds between two kills of a worker")
    parser.add_argument("--json", type=Path, help="write the figures here too")

    def measure(options: argparse.Namespace, line: str) -> int:
        count = options.count or {"survive": 200, "speed": 24}.get(options.what, 2000)
        with tempfile.TemporaryDirectory() as name:
            work = Path(name)
            ways: dict[str, Callable[[], dict[str, Any]]] = {
                "survive": lambda: survive(count, options.workers, options.every, work),
                "speed": lambda: speed(count, sorted({1, options.workers}), work),
                "inspect": lambda: inspect(count, work),
                "apart": lambda: apart(work),
                "overhead": lambda: overhead(count, options.workers),
            }
            found = ways[options.what]()
        told = {"command": line, "machine": describe_machine(), "versions": describe_versions(), **found}
        print(json.dumps(told, indent=1))
        if options.json:
            options.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        return 0

    return run_command("bench.batch", argv, parser, measure)


if __name__ == "__main__":
    sys.exit(main())
