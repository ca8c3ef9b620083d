"""The documentation says what the program does."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from pathlib import Path

import click
import pytest

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
    import nmap

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    compile(code, "README.md", "exec")
    used = set(re.findall(r"\bnmap\.(\w+)", code))
    assert used and used <= set(nmap.__all__)


def test_the_pinned_versions_lie_in_the_declared_ranges() -> None:
    import tomllib

    from packaging.requirements import Requirement

    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for text in (*project["dependencies"], *extras["dev"], *extras["report"], *extras["bench"]):
        wanted = Requirement(text)
        assert wanted.specifier.contains(pins[wanted.name]), text
    assert sys.version_info >= (3, 11)
