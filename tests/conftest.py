"""Fixtures that several test files share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of small real maps; its README says where each one is from."""
    return Path(__file__).parent / "data"
