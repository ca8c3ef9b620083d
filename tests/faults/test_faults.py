"""Whatever befalls a command, its output is old or complete: some of the faults that `make faults` makes."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from cli_files import run

from faults.__main__ import AT_LINES, at_every_line, by_disk, with_little_memory
from faults.jobs import OLD, QUICK, Watched, make_world
from faults.processes import has_small_disks, signalled_at_writing
from faults.reading import DISTURBANCES, READERS, disturbed
from faults.writers import race
from nmap.machine.atomic import atomic_output
from nmap_cli.main import cli
from nmap_cli.parameters import OutputFile

STRIP = next(job for job in QUICK if job.name == "strip")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("world"))


def all_good(found: Iterator[tuple[str, str]], *wanted: str) -> None:
    outcomes = list(found)
    assert {outcome for outcome, _ in outcomes} <= set(wanted), outcomes
    assert not any(fault for _, fault in outcomes), outcomes


@pytest.mark.parametrize("job", QUICK, ids=lambda job: job.name)
def test_a_kill_at_any_line_of_the_writing_leaves_old_or_complete(job, world: Path) -> None:
    watched = Watched(job, world, overwrite=QUICK.index(job) % 2 == 0)
    all_good(at_every_line(watched, AT_LINES["SIGKILL"], every=19), "old", "complete")


@pytest.mark.parametrize("fault", [name for name in AT_LINES if name != "SIGKILL"])
def test_a_failure_at_any_line_of_the_writing_leaves_old_or_complete(fault: str, world: Path) -> None:
    number = list(AT_LINES).index(fault)
    watched = Watched(QUICK[number % len(QUICK)], world, overwrite=number % 2 == 0)
    all_good(at_every_line(watched, AT_LINES[fault], every=23), "old", "complete")


def test_signals_to_a_process_that_writes_leave_old_or_complete(world: Path) -> None:
    watched = Watched(STRIP, world, overwrite=True)
    for number in (signal.SIGKILL, signal.SIGTERM):
        watched.begin()
        end = signalled_at_writing(watched.arguments, number, world / "out", random.Random(number))
        assert watched.outcome() in ("old", "complete") and not end.fault, end


@pytest.mark.parametrize("disturbance", DISTURBANCES)
def test_an_input_that_changes_while_it_is_read_is_read_as_one_or_refused(
    disturbance: str, world: Path
) -> None:
    reader = list(READERS)[list(DISTURBANCES).index(disturbance) % len(READERS)]
    all_good(disturbed(reader, disturbance, world, every=13), "done", "refused")
    if disturbance == "rewritten":
        assert reader == "map"


@pytest.mark.parametrize("overwrite", [False, True])
def test_of_two_writers_of_one_file_one_wins_whole(overwrite: bool, tmp_path: Path) -> None:
    all_good(race(tmp_path, 5, overwrite), "complete")


@pytest.mark.skipif(not has_small_disks(), reason="this user may mount no file system")
def test_a_disk_that_is_too_small_or_read_only_leaves_what_was_there(world: Path) -> None:
    watched = Watched(STRIP, world, overwrite=True)
    all_good(by_disk(watched, read_only=True), "old")


def test_a_limit_too_low_to_load_numpy_is_one_line_at_once(world: Path) -> None:
    a = str(world / "in" / "a.nmap")
    all_good(with_little_memory(["inspect", a], [], range(120, 121)), "refused")


def test_what_a_process_of_our_own_number_left_is_removed_and_what_is_open_is_not(tmp_path: Path) -> None:
    with atomic_output(tmp_path / "a") as file:
        file.write(b"a")
        mine = next(tmp_path.glob(".nmap-*"))
        host, number = mine.name.split("-")[1:3]
        (tmp_path / f".nmap-{host}-{number}-0123456789ab.partial").write_bytes(
            b"of a process that had our number"
        )
        recent = tmp_path / f".nmap-ffffffff-{number}-0123456789ab.partial"
        recent.write_bytes(b"of another machine, today")
        forgotten = tmp_path / f".nmap-ffffffff-{number}-ba9876543210.partial"
        forgotten.touch()
        os.utime(forgotten, (1, 1))
        with atomic_output(tmp_path / "b") as other:
            other.write(b"b")
        assert set(tmp_path.iterdir()) == {mine, recent, tmp_path / "b"} and not forgotten.exists()
    assert (tmp_path / "a").read_bytes() == b"a"


def test_a_hard_link_to_an_output_keeps_the_old_file(world: Path) -> None:
    watched = Watched(STRIP, world, overwrite=True)
    watched.begin()
    output, second = STRIP.output(world), world / "second"
    second.hardlink_to(output)
    assert run(*watched.arguments).code == 0
    assert second.read_bytes() == OLD and output.read_bytes() == watched.new
    second.unlink()


def test_a_symbolic_link_as_output_is_followed_and_one_to_an_input_refused(
    world: Path, tmp_path: Path
) -> None:
    target, link = tmp_path / "target.nmap", tmp_path / "link.nmap"
    link.symlink_to(target)
    source = world / "in" / "a.nmap"
    assert run("strip", source, "-o", link).code == 2  # a link is taken, also one to nothing
    assert (
        run("strip", source, "-o", link, "--overwrite").code == 0 and link.is_symlink() and target.is_file()
    )
    link.unlink()
    for make in (link.symlink_to, link.hardlink_to):
        make(source)
        before = source.read_bytes()
        ran = run("strip", source, "-o", link, "--overwrite")
        assert ran.code == 2 and "is the input as well" in ran.err and source.read_bytes() == before
        link.unlink()
    link.symlink_to(link)
    assert (
        run("strip", source, "-o", link, "--overwrite").code == 0
    )  # a link to itself leads to no file to lose
    assert run("inspect", link).code == 0


def commands(group: click.Group, *words: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that is no group, with its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, *words, name)
        else:
            yield (*words, name), command


def is_input(parameter: click.Parameter) -> bool:
    return parameter.type.name in ("file", "mask") and not isinstance(parameter.type, OutputFile)


PAIRS = [
    (words, command, given.name, taken.name)
    for words, command in commands(cli)
    for given in command.params
    for taken in command.params
    if is_input(given) and isinstance(taken.type, OutputFile)
]


def test_every_command_that_writes_has_pairs_of_inputs_and_outputs() -> None:
    writing = {
        words
        for words, command in commands(cli)
        if any(isinstance(p.type, OutputFile) for p in command.params)
    }
    writing = {words for words in writing if words[0] != "batch"}  # these read folders
    assert {words for words, *_ in PAIRS} == writing and len(PAIRS) > 30


@pytest.mark.parametrize("words", [("pack",), ("report",), ("inspect",)], ids=lambda words: words[0])
def test_no_output_of_a_batch_replaces_a_map_of_its_folder(words: tuple[str, ...], world: Path) -> None:
    source = world / "in" / "a.nmap"
    before = source.read_bytes()
    ran = run("batch", *words, source.parent, "-o", source, "--overwrite")
    assert ran.code == 2 and "is an input as well" in ran.err and source.read_bytes() == before, ran


@pytest.mark.parametrize(
    ("words", "command", "given", "taken"), PAIRS, ids=[f"{' '.join(p[0])} {p[2]} {p[3]}" for p in PAIRS]
)
def test_no_output_of_any_command_replaces_any_of_its_inputs(
    words: tuple[str, ...], command: click.Command, given: str, taken: str, tmp_path: Path
) -> None:
    arguments: list[object] = list(words)
    wanted = {given, taken} | ({"half1", "half2"} if given.startswith("half") else set())
    for parameter in command.params:
        if parameter.name not in wanted and not parameter.required:
            continue
        path = tmp_path / ("one" if parameter.name in (given, taken) else f"other-{parameter.name}")
        if is_input(parameter):
            path.write_bytes(OLD)
        arguments += [path] if isinstance(parameter, click.Argument) else [max(parameter.opts, key=len), path]
    ran = run(*arguments, "--overwrite")
    assert ran.code == 2 and "is the input as well" in ran.err, ran
    assert (tmp_path / "one").read_bytes() == OLD
