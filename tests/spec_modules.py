"""The Python files of `spec/`, which is no package."""

from __future__ import annotations

import functools
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

SPEC = Path(__file__).parents[1] / "spec"


@functools.cache
def load(name: str) -> ModuleType:
    """A module of the spec folder, which is not a package."""
    specification = importlib.util.spec_from_file_location(name, SPEC / f"{name}.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module
