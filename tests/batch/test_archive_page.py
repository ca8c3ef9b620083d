"""docs/archive.md: its scripts do what they say."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nmap_cli.batch import encode
from nmap_cli.main import cli

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "archive.md").read_text(encoding="utf-8")


def script(language: str) -> str:
    """The page's block of a language."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def with_nmap(folder: Path, text: str) -> dict[str, str]:
    """An environment in which the command `nmap` is a script."""
    program = folder / "bin" / "nmap"
    program.parent.mkdir()
    program.write_text(text)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}


def test_the_array_script_gives_each_task_its_shard(tmp_path: Path) -> None:
    shown = with_nmap(
        tmp_path, f"#!{sys.executable}\nimport os, sys\nprint(os.environ['OMP_NUM_THREADS'], *sys.argv[1:])\n"
    )
    place = {**shown, "SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8"}
    ran = subprocess.run(
        ["bash"], input=script("bash"), env=place, capture_output=True, text=True, check=True
    )
    threads, *arguments = ran.stdout.split()
    assert (threads, arguments[:2]) == ("1", ["batch", "encode"])
    context = encode.make_context("encode", arguments[2:], **cli.context_settings)
    assert (context.params["shard"], context.params["sources"]) == ((3, 8), ("maps",))


@pytest.mark.skipif(shutil.which("sbatch") is None, reason="Slurm is not installed")
def test_slurm_takes_the_array_script(tmp_path: Path) -> None:
    (tmp_path / "job.sh").write_text(script("bash"))
    ran = subprocess.run(
        ["sbatch", "--test-only", "job.sh"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.skipif(shutil.which("snakemake") is None, reason="Snakemake is not installed")
def test_snakemake_does_every_shard_and_then_the_catalogue(tmp_path: Path) -> None:
    done = (
        f"#!{sys.executable}\nimport sys\nfrom pathlib import Path\nPath('out').mkdir(exist_ok=True)\n"
        "shard = sys.argv[sys.argv.index('--shard') + 1]\nprint(shard, file=open('shards', 'a'))\n"
        "if shard == '0/1': Path('out/catalogue.csv').touch()\n"
    )
    (tmp_path / "Snakefile").write_text(script("snakemake"))
    subprocess.run(["snakemake", "--cores", "2"], cwd=tmp_path, env=with_nmap(tmp_path, done), check=True)
    assert sorted((tmp_path / "shards").read_text().split()) == ["0/1", "0/4", "1/4", "2/4", "3/4"]


def test_the_command_s_own_options_are_on_the_page() -> None:
    own = {
        opt
        for parameter in encode.params
        for opt in parameter.opts
        if parameter.name in ("workers", "memory", "scheduler", "slurm", "shard", "retry_failed", "force")
    }
    assert own
    assert [option for option in sorted(own) if option not in PAGE] == []
