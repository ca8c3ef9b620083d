"""The device benchmark: each stage's seconds, of fits in processes of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import device as bench_device


def test_a_fit_s_seconds_are_told_by_stage(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(data_dir / "EMD-3197.map"), "--resolution", "40", "--symmetry", "C1", "--devices", "cpu"]
    assert (
        bench_device.main([*given, "--archs", "radial-basis", "--repeat", "2", "--results", str(tmp_path)])
        == 0
    )
    result = json.loads((tmp_path / "EMD-3197-device.json").read_text())
    first, second = result["fits"]
    assert first["bytes"] == second["bytes"]
    assert first["worst"] >= 0.9
    assert sum(first["stages"].values()) <= first["seconds"] + 0.1
    assert (tmp_path / "EMD-3197-device.md").read_text() in capsys.readouterr().out
