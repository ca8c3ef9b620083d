"""The documentation says what the program does."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import tomllib
from itertools import chain
from pathlib import Path

import click
import pytest
from cli_files import run
from packaging.requirements import Requirement
from safetensors import safe_open

import nmap
from nmap_cli.main import cli

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", *sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "docs").glob("*.md"))]


def test_the_cli_reference_is_current() -> None:
    spec = importlib.util.spec_from_file_location(
        "make_cli_reference", ROOT / "docs" / "make_cli_reference.py"
    )
    assert spec is not None and spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written == maker.reference(), "run `make docs`"


def shell_lines(text: str) -> list[str]:
    """Lines of the shell blocks of a page that call nmap, continuation lines joined."""
    blocks = re.findall(r"```(?:sh|shell|console|bash)\n(.*?)```", text, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [
        line.strip().removeprefix("$ ")
        for line in lines
        if line.strip().removeprefix("$ ").startswith("nmap ")
    ]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_line_in_a_page_has_options_that_exist(page: str) -> None:
    for line in shell_lines((ROOT / page).read_text(encoding="utf-8")):
        words = shlex.split(line, comments=True)[1:]
        command = cli.get_command(click.Context(cli), words[0])
        assert command is not None, line
        if isinstance(command, click.Group):
            command = command.get_command(click.Context(command), words[1])
            assert command is not None, line
        known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)} | {"--help", "-h"}
        assert {w.split("=")[0] for w in words if re.match(r"--?[a-z]", w)} <= known, line


@pytest.mark.parametrize("page", PAGES)
def test_every_link_to_a_file_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), target


def test_the_python_of_the_readme_uses_names_that_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    compile(code, "README.md", "exec")
    used = set(re.findall(r"\bnmap\.(\w+)", code))
    assert used and used <= set(nmap.__all__)


def declared() -> list[str]:
    """Every requirement of pyproject.toml, the extras' included, without those that name this distribution."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    return [text for text in texts if Requirement(text).name != project["name"]]


@pytest.mark.parametrize("text", declared())
def test_the_pinned_version_lies_in_the_declared_range(text: str) -> None:
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    lower = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    wanted = Requirement(text)
    assert wanted.specifier.contains(lower[wanted.name])


def test_the_newest_entry_of_the_changelog_is_this_version() -> None:
    heads = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert heads[0] == nmap.__version__
    assert run("--version").out == f"nmap {nmap.__version__}\n"


def test_the_version_that_files_state_has_its_page_and_its_entry() -> None:
    with safe_open(ROOT / "spec" / "conformance" / "valid" / "radial-basis.nmap", "np") as file:
        version = json.loads(file.metadata()["nmap"])["version"]
    heads = re.findall(
        r"^## (\S+)", (ROOT / "spec" / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert heads[0] == version
    assert (ROOT / "spec" / f"nmap-{version}.md").is_file()
