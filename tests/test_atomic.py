"""Output files: their modes, and what killed processes leave behind."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nmap.errors import OutputExistsError
from nmap.machine.atomic import atomic_output


def test_a_replaced_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with atomic_output(path, overwrite=True) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new" and stat.S_IMODE(path.stat().st_mode) == 0o640


def test_what_a_killed_process_left_is_removed_by_the_next_and_a_living_ones_is_not(tmp_path: Path) -> None:
    program = (
        "import sys, time; from nmap.machine.atomic import atomic_output\n"
        "with atomic_output(sys.argv[1]) as file:\n"
        "    file.write(b'half'); print('open', flush=True); time.sleep(60)"
    )
    words = [sys.executable, "-c", program, str(tmp_path / "a")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "open\n"
        with atomic_output(tmp_path / "b") as file:
            file.write(b"b")
        assert len(list(tmp_path.glob(".nmap-*.partial"))) == 1
        os.kill(process.pid, signal.SIGKILL)
    with atomic_output(tmp_path / "c") as file:
        file.write(b"c")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b", "c"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["", ".", "inner", "inner/.."])
def test_a_folder_is_no_output_with_overwrite_or_without(tmp_path: Path, name: str, overwrite: bool) -> None:
    (tmp_path / "inner").mkdir()
    with (
        pytest.raises(OutputExistsError, match="is not a regular file: give another output path"),
        atomic_output(tmp_path / name, overwrite),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["inner"]
