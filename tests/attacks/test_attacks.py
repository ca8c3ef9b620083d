"""No file does harm: each command ends with an exit code that is right, in one line, within its time and memory."""

from __future__ import annotations

import json
import os
import re
import resource
from pathlib import Path

import pytest
from cli_files import run

from attacks.corpus import EITHER, READ, Attack, everything, file_bytes, map_bytes
from attacks.cost import commands, cost_of

CORPUS = everything()


def hold(attack: Attack, path: Path, folder: Path) -> None:
    """Run each command on the file and hold it to what it may do."""
    before = sorted(entry.name for entry in folder.iterdir())
    for words in commands(path, folder):
        ran = None

        def work(words: tuple[object, ...] = words) -> None:
            nonlocal ran
            ran = run(*words)

        cost = cost_of(work)
        assert ran is not None
        said = f"{' '.join(map(str, words))}: exit {ran.code}, {cost.seconds:.1f} s, {cost.megabytes:.0f} MB: {ran.err}"
        assert ran.code in attack.codes, said
        assert "a fault in nmap" not in ran.err and "Traceback" not in ran.err, said
        if ran.code:
            assert ran.err.splitlines()[-1].startswith("nmap: error: "), said
            assert sorted(e.name for e in folder.iterdir()) == before, said
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", ran.out + ran.err), (
            said
        )
        assert cost.seconds <= attack.seconds and cost.megabytes <= attack.megabytes, said
        for made in set(folder.iterdir()) - {folder / name for name in before}:
            made.unlink()


def test_there_are_at_least_300_attacks() -> None:
    assert len({attack.id for attack in CORPUS}) >= 300


@pytest.fixture(scope="module", autouse=True)
def warmed(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Load what the commands load, so that its memory and time are nobody's."""
    folder = tmp_path_factory.mktemp("warm")
    (folder / "a.mrc").write_bytes(map_bytes())
    (folder / "a.nmap").write_bytes(file_bytes())
    (folder / "w.npz").write_bytes(b"no weights")
    (folder / "w.pt").write_bytes(b"no weights")
    for name in ("a.mrc", "a.nmap", "w.npz", "w.pt"):
        for words in commands(folder / name, folder):
            run(*words)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("kind", sorted({attack.kind for attack in CORPUS}))
def test_no_file_does_harm(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number, attack in enumerate(a for a in CORPUS if a.kind == kind):
        path = tmp_path / f"{number}{attack.suffix}"
        path.write_bytes(attack.content())
        try:
            hold(attack, path, tmp_path)
        except AssertionError as failed:
            raise AssertionError(f"{attack.id}: {failed}") from None
        path.unlink()


PLACES = {
    "a folder": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "an empty file": lambda path: path.touch(),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("suffix", [".mrc", ".nmap", ".npz"])
def test_what_is_no_file_is_refused(place: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"odd{suffix}"
    PLACES[place](path)
    for words in commands(path, tmp_path):
        ran = run(*words)
        assert ran.code in EITHER - READ and ran.err.startswith("nmap: error: "), (words, ran)
        assert "a fault in nmap" not in ran.err, (words, ran)


NAMES = [
    "a\x1b[2Jb",
    "a\nnmap: error: forged",
    "a\u202eb",
    "a\x9b31m",
    "-rf",
    "caf\udce9",
    "a b",
    "'\"`$(id)",
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_reaches_no_terminal_as_it_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for suffix, content in ((".mrc", map_bytes()), (".nmap", file_bytes()), (".npz", b"no weights")):
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes(content)
        for words in commands(path, tmp_path):
            ran = run(*words)
            assert not re.search(r"[\x1b\x9b\u202e\udc80-\udcff]", ran.out + ran.err), ran
            assert "\nnmap: error: forged" not in ran.out + ran.err, ran


@pytest.mark.parametrize("name", [*NAMES, "a  b"], ids=ascii)
def test_json_holds_a_name_that_every_reader_of_json_takes(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.nmap"
    path.write_bytes(file_bytes())
    said = json.loads(run("inspect", path, "--json").out)["file"]
    assert said.encode() and said == f"{name}.nmap".replace("\udce9", "\\xe9")
    said = json.loads(run("batch", "inspect", tmp_path, "--json").out)["id"]
    assert said.encode() and said.startswith(name[:1])
    if name == "a  b":
        assert said == name


def test_a_full_disk_leaves_nothing_and_an_old_file_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.nmap").write_bytes(file_bytes())
    old = tmp_path / "old.mrc"
    old.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        ran = run("decode", tmp_path / "a.nmap", old, "--overwrite", "--shape", 16)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert ran.code == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nmap", "old.mrc"] and old.read_bytes() == b"old"
