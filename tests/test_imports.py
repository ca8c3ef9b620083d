"""What is loaded when: `import nmap` and `--help` load little, and only fitting loads torch."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import nmap

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "spec" / "conformance" / "valid" / "radial-basis.nmap"
HEAVY = frozenset({"torch", "h5py", "gemmi", "scipy.ndimage", "scipy.optimize", "matplotlib"})

WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from nmap_cli.main import cli; cli(sys.argv[1:])"
MODULES_AFTER = "import sys\n{}\nprint(*sys.modules)"


def python(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def loaded(statement: str) -> set[str]:
    """Names of the modules that a fresh interpreter has after a statement."""
    ran = python(MODULES_AFTER.format(statement))
    assert ran.returncode == 0, ran.stderr
    return set(ran.stdout.split())


def test_import_nmap_loads_only_the_package_itself() -> None:
    own = {name for name in loaded("import nmap") - loaded("pass") if name.partition(".")[0] == "nmap"}
    assert own == {"nmap", "nmap.version"}


def test_import_nmap_loads_no_package_beyond_the_standard_library() -> None:
    tops = {name.partition(".")[0] for name in loaded("import nmap") - loaded("pass")}
    assert tops <= {"nmap", *sys.stdlib_module_names}


def test_help_loads_nothing_heavy() -> None:
    asked = (
        "from contextlib import suppress, redirect_stdout; from io import StringIO; from nmap_cli.main import cli"
        "\nfor command in ('encode', 'decode', 'inspect', 'validate', 'report'):"
        "\n    with suppress(SystemExit), redirect_stdout(StringIO()): cli([command, '--help'])"
    )
    assert loaded(asked) & HEAVY == set()


@pytest.mark.parametrize("name", sorted(set(nmap.__all__) - {"errors"}))
def test_no_module_has_the_name_of_a_verb(name: str) -> None:
    assert importlib.util.find_spec(f"nmap.{name}") is None


@pytest.mark.parametrize("name", nmap.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(nmap, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"nmap.*nonsense"):
        nmap.nonsense  # noqa: B018


def test_decode_inspect_and_validate_need_no_torch(tmp_path: Path) -> None:
    decoded = tmp_path / "decoded.mrc"
    for arguments in (
        ("decode", EXAMPLE, "-o", decoded),
        ("inspect", EXAMPLE),
        ("validate", EXAMPLE, decoded, "--min-fsc", 0.999),
    ):
        ran = python(WITHOUT_TORCH, *arguments)
        assert ran.returncode == 0, ran.stderr


def test_encode_without_torch_names_the_one_command_to_run(tmp_path: Path) -> None:
    ran = python(WITHOUT_TORCH, "encode", ROOT / "examples" / "emd_3488.map.gz", tmp_path / "a.nmap")
    assert ran.returncode == 4
    assert ran.stderr.splitlines() == [
        "nmap: error: encode needs torch, which is not installed: run pip install '.[fit]' in a checkout of nmap"
    ]
