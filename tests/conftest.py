"""Fixtures that several test files share, and how hypothesis looks for counterexamples."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No test may fail because the machine is busy: neither a deadline nor the speed of drawing examples counts.
settings.register_profile("nmap", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# `make properties` looks longer.
settings.register_profile("long", settings.get_profile("nmap"), max_examples=2000)
settings.load_profile(os.environ.get("NMAP_HYPOTHESIS", "nmap"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of small real maps; its README says where each one is from."""
    return Path(__file__).parent / "data"
