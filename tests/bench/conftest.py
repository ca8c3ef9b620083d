"""What tests of the benchmarks share."""

from __future__ import annotations

import importlib
import json
from typing import Any

import pytest

from bench.process import peak_bytes


def run_here(function: str, **arguments: Any) -> dict[str, Any]:
    """What `bench.process.run_step` does, in this process: its memory is that of all tests so far."""
    module, name = function.split(":")
    answer = getattr(importlib.import_module(module), name)(**json.loads(json.dumps(arguments)))
    return {**json.loads(json.dumps(answer)), "peak_bytes": peak_bytes()}


@pytest.fixture
def steps_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps start no processes of their own, each of which would load torch; other benchmarks' tests start some."""
    for module in ("bench.scale", "bench.thesis.memory", "bench.time"):
        monkeypatch.setattr(f"{module}.run_step", run_here)
