"""The help of a command: options under headings where they are many, and examples that can be typed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from cli_files import run

from nmap_cli.help import MANY, Command
from nmap_cli.main import cli


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        elif command is not None:
            yield " ".join((*path, name)), command


ALL = dict(commands())


def context(command: click.Command) -> click.Context:
    """As the program has it; click keeps the help option that it made first."""
    return click.Context(command, **cli.context_settings)


@pytest.mark.parametrize("name", ALL)
def test_every_option_of_a_long_command_stands_under_a_heading_of_its_own(name: str) -> None:
    command = ALL[name]
    assert isinstance(command, Command)
    grouped = command.grouped(context(command))
    shown = [option for options in grouped.values() for option in options]
    known = [one for one in command.get_params(context(command)) if isinstance(one, click.Option)]
    assert len(shown) == len(known) and {id(one) for one in shown} == {id(one) for one in known}
    assert ("Options" in grouped) == (len(known) - 1 <= MANY)
    assert max(map(len, grouped.values())) <= MANY + 1


@pytest.mark.parametrize("group", ["", "batch", "study"])
def test_a_list_of_commands_cuts_no_line_short(group: str) -> None:
    assert "...\n" not in run(*group.split(), "--help").out.partition("Commands:")[2]


@pytest.mark.parametrize("name", ALL)
def test_a_heading_names_only_options_that_some_command_has(name: str) -> None:
    command = ALL[name]
    assert isinstance(command, Command)
    there = {one.name for other in ALL.values() for one in other.params}
    assert {name for names in command.headings.values() for name in names} <= there


@pytest.mark.parametrize("name", ALL)
def test_the_help_ends_with_examples_that_the_program_takes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    command = ALL[name]
    assert isinstance(command, Command) and command.examples
    said = run(*name.split(), "--help").out
    assert "Examples:" in said
    for what, line in command.examples:
        assert f"  # {what}\n  {line}\n" in said
        program, *words = shlex.split(line)
        assert program == "nmap"
        for word in words:  # whatever is read is there
            if (
                "." in word
                and not word.startswith("-")
                and not word.replace(".", "").replace(",", "").isdigit()
            ):
                (tmp_path / word.split("::")[0]).touch()
        typed = next(
            one for one in sorted(ALL, key=len, reverse=True) if " ".join(words).startswith(one + " ")
        )
        ALL[typed].make_context(typed, words[len(typed.split()) :], **cli.context_settings)
