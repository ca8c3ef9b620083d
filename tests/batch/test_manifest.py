"""The manifest: appended line by line, torn ends passed over, one writer, read back as it was written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nmap.batch.manifest import Manifest, read_state, require_batch
from nmap.errors import NmapError, OptionError


def test_what_is_appended_is_read_back_the_last_word_of_each_map(tmp_path: Path) -> None:
    with Manifest(tmp_path) as manifest:
        manifest.append("started", "encode", "a")
        manifest.append("failed", "encode", "a", [("error", {"message": "x"})])
        manifest.append("started", "encode", "a")
        manifest.append("done", "encode", "a", [("bytes", 7)])
        manifest.append("started", "encode", "b")
    state = read_state(tmp_path)
    assert state.of("encode", "a").event == "done"
    assert state.of("encode", "a").last["bytes"] == 7
    assert (state.of("encode", "b").event, state.of("encode", "b").unfinished) == ("", 1)
    assert list(state.last("encode")) == ["a"]


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_line_that_a_killed_run_left_torn_is_passed_over_and_the_next_one_stands(
    tmp_path: Path, cut: int
) -> None:
    with Manifest(tmp_path) as manifest:
        manifest.append("done", "encode", "a")
        manifest.append("done", "encode", "b")
    manifest.path.write_bytes(manifest.path.read_bytes()[:-cut])
    state = read_state(tmp_path)
    assert (list(state.last("encode")), state.damaged) == ((["a", "b"] if cut == 1 else ["a"]), 0)
    with Manifest(tmp_path) as manifest:
        manifest.append("done", "encode", "c")
    state = read_state(tmp_path)
    assert list(state.last("encode")) == (["a", "b", "c"] if cut == 1 else ["a", "c"])


def test_a_damaged_line_in_the_middle_is_counted(tmp_path: Path) -> None:
    with Manifest(tmp_path) as manifest:
        manifest.append("done", "encode", "a")
    lines = [b"{]\n", b'"text"\n', b"[" * 100_000 + b"\n", b"\xff\xfe\n"]
    manifest.path.write_bytes(b"".join(lines) + manifest.path.read_bytes())
    state = read_state(tmp_path)
    assert (state.damaged, list(state.last("encode"))) == (4, ["a"])


def test_one_process_at_a_time_writes_a_manifest_and_shards_have_their_own(tmp_path: Path) -> None:
    with Manifest(tmp_path):
        with pytest.raises(OptionError, match=r"manifest\.jsonl: another run writes it"):
            Manifest(tmp_path)
        with Manifest(tmp_path, "1-of-2") as shard:
            shard.append("done", "encode", "z")
    assert shard.path.name == "manifest-1-of-2.jsonl"
    assert list(read_state(tmp_path).last("encode")) == ["z"]


def test_the_order_of_events_of_several_shards_is_that_of_their_times(tmp_path: Path) -> None:
    def line(event: str, time: str) -> str:
        return json.dumps({"event": event, "task": "encode", "id": "a", "time": time}) + "\n"

    (tmp_path / "manifest-0-of-2.jsonl").write_text(line("done", "2026-01-02"))
    (tmp_path / "manifest-1-of-2.jsonl").write_text(line("failed", "2026-01-01"))
    assert read_state(tmp_path).of("encode", "a").event == "done"


def test_a_folder_without_a_manifest_is_no_batch(tmp_path: Path) -> None:
    with pytest.raises(NmapError, match="has no manifest"):
        require_batch(tmp_path)
