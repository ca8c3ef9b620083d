"""Where the seconds of a fit go, on a GPU and on this machine's own processor, in one run.

    python -m bench.device emd_11007.map.gz --resolution 3.0 --symmetry C1 --devices cuda,cpu

Every fit is a process of its own and takes the map from memory: reading the file, loading torch and starting
the GPU are shown apart. With `--repeat 2` each fit runs again in its process, when all that is compiled or
started once is there.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.machine import describe_machine, describe_versions
from bench.process import StepError, run_step
from bench.reporting import command_line, write_json
from bench.table import markdown_table
from nmap.fit.options import PRESETS

_COLUMNS = ("device", "network", "fit", "start s", "fit s", "of these", "bytes", "worst shell", "GPU MB")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    given = _parser().parse_args(arguments)
    rows: list[dict[str, Any]] = []
    for device in given.devices.split(","):
        for arch in given.archs.split(","):
            print(f"{arch} on {device} ...", file=sys.stderr, flush=True)
            try:
                answer = run_step(
                    "bench.device:fit_once",
                    path=str(given.map),
                    resolution=given.resolution,
                    arch=arch,
                    symmetry=given.symmetry,
                    device=device,
                    preset=given.preset,
                    repeat=given.repeat,
                )
            except StepError as error:
                print(f"bench.device: {arch} on {device}: {error}", file=sys.stderr)
                return 1
            rows += answer["fits"]
    machine, versions = describe_machine(), describe_versions()
    page = _page(command_line("bench.device", arguments), machine, versions, rows)
    print(page)
    if given.results is not None:
        name = given.name or f"{given.map.name.partition('.')[0]}-device"
        (given.results / f"{name}.md").write_text(page, encoding="utf-8")
        command = command_line("bench.device", arguments)
        result = {"command": command, "machine": machine, "versions": versions, "fits": rows}
        write_json(result, given.results / f"{name}.json")
    return 0


def fit_once(
    path: str, resolution: float, arch: str, symmetry: str, device: str, preset: str, repeat: int
) -> dict[str, Any]:
    """Fit a map in this process, `repeat` times over.

    Args:
        path: of the map.
        resolution: Angstrom.
        arch: model kind.
        symmetry: point group or "auto".
        device: "cpu" or "cuda".
        preset: of the fit.
        repeat: how often.
    """
    started = time.perf_counter()
    import torch

    from nmap.fit.device import choose_device, device_name
    from nmap.fit.encode import encode
    from nmap.fit.options import EncodeOptions
    from nmap.fit.progress import Progress
    from nmap.maps import read_map

    where = choose_device(device)
    torch.zeros(1, device=where)
    loaded = time.perf_counter() - started
    density = read_map(path)
    fits = []
    for number in range(repeat):
        stages: dict[str, float] = {}
        last = [time.perf_counter(), "preparing"]

        def said(progress: Progress, stages: dict[str, float] = stages, last: list[Any] = last) -> None:
            now, stage = time.perf_counter(), progress.stage
            stages[last[1]] = stages.get(last[1], 0.0) + now - last[0]
            last[:] = now, stage

        options = EncodeOptions(
            resolution=resolution,
            arch=arch,
            symmetry=symmetry,
            device=device,  # type: ignore[arg-type]
            preset=preset,  # type: ignore[arg-type]
        )
        began = time.perf_counter()
        made = encode(density, options, progress=said)
        seconds = time.perf_counter() - began
        fits.append(
            {
                "device": device_name(where),
                "arch": arch,
                "number": number + 1,
                "start_seconds": loaded,
                "seconds": seconds,
                "stages": {name: round(spent, 2) for name, spent in stages.items() if spent >= 0.05},
                "bytes": sum(tensor.nbytes for tensor in made.tensors.values()),
                "worst": made.record["fidelity"]["worst"],
                "steps": made.record["fit"]["steps"],
                "gpu_bytes": torch.cuda.max_memory_allocated() if where.type == "cuda" else None,
            }
        )
    return {"fits": fits}


def _page(command: str, machine: dict[str, Any], versions: dict[str, str], rows: list[dict[str, Any]]) -> str:
    table = [
        (
            row["device"],
            row["arch"],
            str(row["number"]),
            f"{row['start_seconds']:.1f}",
            f"{row['seconds']:.1f}",
            ", ".join(f"{name} {spent:.1f}" for name, spent in row["stages"].items()),
            str(row["bytes"]),
            f"{row['worst']:.4f}",
            "" if row["gpu_bytes"] is None else f"{row['gpu_bytes'] / 1e6:.0f}",
        )
        for row in rows
    ]
    said = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    return "\n".join(
        [
            "# Where the seconds of a fit go",
            "",
            f"    {command}",
            "",
            f"- Machine: {machine['cores']} cores of {machine['processor']}, {machine['memory_gib']} GiB, "
            f"{machine['system']}.",
            f"- Versions: {said}.",
            "",
            markdown_table(_COLUMNS, table),
            "",
            "One run each. `start` loads torch and starts the device; `fit` is from the map in memory to the network;",
            "bytes are weights, gains and envelope as stored; the worst shell is that of the file's own record.",
            "",
        ]
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.device", description=str(__doc__).splitlines()[0])
    add = parser.add_argument
    add("map", type=Path)
    add("--resolution", type=float, required=True, help="Angstrom")
    add("--archs", default="radial-basis,siren", help="model kinds (default %(default)s)")
    add("--devices", default="cuda,cpu", help="where (default %(default)s)")
    add("--symmetry", default="auto")
    add("--preset", default="faithful", choices=tuple(PRESETS))
    add("--repeat", type=int, default=1, help="fits in one process (default %(default)s)")
    add("--results", type=Path, help="folder for NAME.md and NAME.json")
    add("--name", default="")
    return parser


if __name__ == "__main__":
    sys.exit(main())
