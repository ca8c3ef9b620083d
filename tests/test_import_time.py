"""`import nmap` costs nothing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time

import pytest

import nmap

HEAVY = "torch h5py gemmi scipy.ndimage scipy.optimize matplotlib"


def python(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_import_nmap_loads_nothing_heavy() -> None:
    found = python(f"import sys, nmap; print(*sorted(set('{HEAVY}'.split()) & set(sys.modules)))")
    assert found.strip() == ""


def test_import_nmap_takes_less_than_a_third_of_a_second() -> None:
    program = "import time; t = time.perf_counter(); import nmap; print(time.perf_counter() - t)"
    assert min(float(python(program)) for _ in range(3)) < 0.3


@pytest.mark.parametrize("name", sorted(set(nmap.__all__) - {"errors"}))
def test_no_module_has_the_name_of_a_verb(name: str) -> None:
    assert importlib.util.find_spec(f"nmap.{name}") is None


@pytest.mark.parametrize("name", nmap.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(nmap, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"nmap.*nonsense"):
        nmap.nonsense  # noqa: B018


def test_help_is_quick_and_loads_no_torch() -> None:
    started = time.perf_counter()
    program = (
        "import sys\nfrom nmap_cli.main import cli\n"
        "try: cli(['encode', '--help'])\n"
        "except SystemExit: pass\n"
        f"print('LOADED', *sorted(set('{HEAVY}'.split()) & set(sys.modules)))"
    )
    assert python(program).splitlines()[-1].split() == ["LOADED"]
    assert time.perf_counter() - started < 5
