"""The documentation says what the program does."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import tomllib
from glob import glob
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
COMMANDS_ON = ("archive", "fidelity", "study", "viewers")
"""Pages of docs/ with commands that read files; docs/series.md names its frames itself."""
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


def shell_blocks(text: str) -> list[tuple[str, list[str]]]:
    """The paragraph before each shell block that calls nmap, and the calls."""
    parts = re.split(r"```(?:sh|bash)\n(.*?)```", text, flags=re.DOTALL)
    pairs = zip(parts[::2], parts[1::2], strict=False)
    found = [
        (before.strip().rpartition("\n\n")[2], shell_lines(f"```sh\n{block}```")) for before, block in pairs
    ]
    return [(before, lines) for before, lines in found if lines]


def touch(word: str) -> None:
    """Make a file, or where the name ends in / or has no ending, a folder; of a pattern some files."""
    path = Path(word.replace("*", "1"))
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix:
        path.touch()
    else:
        path.mkdir(exist_ok=True)


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{name}.md" for name in COMMANDS_ON)])
def test_every_file_of_a_command_is_in_examples_made_before_or_said_to_be_the_reader_s(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    touch("emd_3488.map.gz")
    text = (ROOT / page).read_text(encoding="utf-8")
    if page != "README.md":  # the other pages begin with what its first lines make
        touch("emd_3488.nmap")
    for before, lines in shell_blocks(text):
        if "of your own" in before:
            for name in re.findall(r"`([\w./*-]+)`", before):
                touch(name)
        for line in lines:
            tasks = line.replace("$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT", "0/8")
            words = shlex.split(tasks, comments=True)[1:]
            words = [found for word in words for found in (sorted(glob(word)) if "*" in word else [word])]
            command: click.Command = cli
            while isinstance(command, click.Group):
                command = command.get_command(click.Context(command), words.pop(0))
            context = command.make_context("nmap", words, **cli.context_settings)
            batch = context.params.get("sources") if command.params[0].type.name == "text" else ()
            assert all(Path(str(source)).exists() for source in batch or ()), line
            for name in ("output", "out", "results", "plot", "json_file", "export", "report"):
                if isinstance(made := context.params.get(name), Path):
                    touch(str(made))


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
