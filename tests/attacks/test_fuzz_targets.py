"""What `make fuzz` runs reads bytes or raises an error of nmap's own: each target, on a few of them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from attacks.corpus import file_bytes, map_bytes

sys.path.append(str(Path(__file__).parents[2]))
from fuzz.targets import TARGETS, run


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_takes_any_bytes(name: str) -> None:
    draw = np.random.default_rng(0)
    for data in (b"", b"\0" * 64, file_bytes(), map_bytes(), *(draw.bytes(n) for n in (1, 30, 500))):
        run(TARGETS[name], data)
