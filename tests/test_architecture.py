"""The code keeps to the plan of the house: docs/architecture.md lists the rooms, from the ground up."""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PLAN = ROOT / "docs" / "architecture.md"
ROOTS = {"nmap": ROOT / "nmap", "nmap_cli": ROOT / "cli" / "nmap_cli"}


@dataclass(frozen=True)
class Room:
    """A row of the plan: paths below the root of the checkout, and packages that it may import."""

    level: int
    paths: tuple[str, ...]
    packages: frozenset[str]


def rooms() -> Iterator[Room]:
    """The rows of the table in docs/architecture.md, in order."""
    rows = re.findall(r"^\| (`.*?) \|.*\|(.*)\|$", PLAN.read_text(encoding="utf-8"), re.MULTILINE)
    for level, (paths, packages) in enumerate(rows):
        placed = tuple(p if p.startswith("cli/") else f"nmap/{p}" for p in re.findall(r"`(.*?)`", paths))
        yield Room(level, placed, frozenset(re.findall(r"\w+", packages)))


def source_files() -> dict[str, Path]:
    """The modules of nmap and its command line by name."""
    files = {}
    for name, folder in ROOTS.items():
        for path in folder.rglob("*.py"):
            parts = [name, *path.relative_to(folder).with_suffix("").parts]
            files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return files


ROOMS = list(rooms())
FILES = source_files()


def room_of(path: Path) -> Room:
    """The room with the longest path that a file lies in."""
    place = path.relative_to(ROOT).as_posix()
    fits = [
        (len(p), room)
        for room in ROOMS
        for p in room.paths
        if place == p or (p.endswith("/") and place.startswith(p))
    ]
    assert fits, f"{place} has no row in {PLAN.name}"
    return max(fits, key=lambda fit: fit[0])[1]


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """What a tree holds, but for what only a type checker sees."""
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            todo += node.orelse
            continue
        yield node
        todo += ast.iter_child_nodes(node)


def imported(path: Path) -> set[str]:
    """Names that a file imports, wherever in it, but for what only a type checker sees."""
    names = set()
    for node in nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & FILES.keys()
            names |= inner or {node.module}
    return names


@functools.cache
def graph() -> dict[str, set[str]]:
    """What each module imports."""
    return {name: imported(path) for name, path in FILES.items()}


def arrows() -> Iterator[tuple[str, str]]:
    """Every import of one of our modules by another."""
    for name, targets in graph().items():
        for target in sorted(targets & FILES.keys() - {name}):
            yield name, target


def test_every_path_of_the_plan_is_there() -> None:
    assert len(ROOMS) > 20
    for room in ROOMS:
        for path in room.paths:
            assert (ROOT / path).exists(), path


def test_a_module_imports_only_from_its_own_room_and_those_above_it_in_the_plan() -> None:
    wrong = [
        f"{name} imports {target}"
        for name, target in arrows()
        if room_of(FILES[target]).level > room_of(FILES[name]).level
    ]
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    own = {name: targets & FILES.keys() - {name} for name, targets in graph().items()}
    try:
        TopologicalSorter(own).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_module_imports_only_the_packages_that_its_room_may(name: str) -> None:
    tops = {target.partition(".")[0] for target in graph()[name]}
    assert tops <= {*sys.stdlib_module_names, *ROOTS, "numpy", *room_of(FILES[name]).packages}


def test_every_package_of_the_plan_is_imported_by_its_room() -> None:
    used: dict[int, set[str]] = {room.level: set() for room in ROOMS}
    for name, path in FILES.items():
        used[room_of(path).level] |= {target.partition(".")[0] for target in graph()[name]}
    assert {
        room.paths: room.packages - used[room.level] for room in ROOMS if room.packages - used[room.level]
    } == {}


def test_nothing_imports_the_command_line_but_python_m_nmap() -> None:
    assert {
        name for name, target in arrows() if target.startswith("nmap_cli") and not name.startswith("nmap_cli")
    } == {"nmap.__main__"}


def test_comparing_two_maps_knows_nothing_of_networks() -> None:
    networks = ("nmap.model", "nmap.neural_map", "nmap.sampling", "nmap.container", "nmap.fit", "nmap.coding")
    assert [a for a in arrows() if a[0].startswith("nmap.compare") and a[1].startswith(networks)] == []


def test_only_the_spectrum_rounds_a_frequency_to_a_shell() -> None:
    rounders = {"round", "rint", "floor", "around"}
    found = []
    for path in FILES.values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in rounders:
                inside = " ".join(ast.unparse(argument) for argument in node.args)
                if re.search(r"radius|frequenc|fftfreq", inside):
                    found.append(path.relative_to(ROOT).as_posix())
    assert {place.rpartition("/")[0] for place in found} == {"nmap/spectrum"}
