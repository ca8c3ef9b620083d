"""How a fit keeps a time budget, by a clock that the tests set."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from cli_files import run

from nmap.errors import LimitError
from nmap.fit import progress, size
from nmap.fit.blocks import fit as blocks_fit
from nmap.fit.bumps import schedule
from nmap.fit.bumps.schedule import Deadline
from nmap.fit.encode import encode
from nmap.fit.options import EncodeOptions
from nmap.fit.progress import Progress, Watch
from nmap.grid import Grid
from nmap.maps import DensityMap, write_map
from nmap.model.kinds import KINDS


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The search's clock."""
    made = SimpleNamespace(now=0.0)
    monkeypatch.setattr(schedule, "time", SimpleNamespace(monotonic=lambda: made.now))
    return made


def wait(clock: SimpleNamespace, seconds: float) -> None:
    """Let time pass."""
    clock.now += seconds


def test_time_for_coding_is_kept_back_from_what_coding_took(clock: SimpleNamespace) -> None:
    deadline = Deadline(100)
    assert deadline.left(1000) == 100
    assert deadline.wants_trial(1000)
    deadline.time_coding(1000, lambda: wait(clock, 2.0))
    once, twice = 98 - deadline.left(1000), 98 - deadline.left(2000)
    assert once > 2 * 2.0  # coded, and read back
    assert twice == pytest.approx(2 * once)


def test_coding_is_timed_again_when_there_is_twice_as_much(clock: SimpleNamespace) -> None:
    deadline = Deadline(100)
    deadline.time_coding(1000, lambda: wait(clock, 0.1))
    assert not deadline.wants_trial(1999)
    assert deadline.wants_trial(2001)
    clock.now = 100
    assert not deadline.wants_trial(2001)


def test_what_coding_a_few_took_forbids_no_trial_of_many(clock: SimpleNamespace) -> None:
    deadline = Deadline(10)
    deadline.time_coding(1, lambda: wait(clock, 0.2))
    assert deadline.left(1000) < 0 and deadline.wants_trial(1000)
    deadline.time_coding(1000, lambda: wait(clock, 0.3))
    assert deadline.left(1000) > 8


def test_the_share_of_the_time_that_is_gone_ends_at_one(clock: SimpleNamespace) -> None:
    deadline = Deadline(100)
    clock.now = 25
    assert deadline.used(10, 1) == pytest.approx(0.25)
    assert deadline.used(10, 3) == pytest.approx(0.75)
    clock.now = 101
    assert deadline.used(10, 1) == 1


def test_an_answer_that_is_late_is_given_and_says_by_how_much() -> None:
    grid = Grid((24, 24, 24), (2.0,) * 3)
    distance = np.linalg.norm(np.indices(grid.shape) - 12, axis=0)
    density = DensityMap(np.exp(-((distance / 4) ** 2)).astype(np.float32), grid)
    heard: list[Progress] = []
    made = encode(density, EncodeOptions(resolution=8.0, time_budget=0.01), progress=heard.append)
    assert np.abs(made.as_array()).max() > 0
    late = [p.notice for p in heard if p.notice is not None and p.notice.code == "late"]
    assert len(late) == 1 and late[0].facts["budget"] == 0.01 and late[0].facts["seconds"] > 0
    # The file says nothing of the time that it took.
    assert "late" not in [notice["code"] for notice in made.record["fit"]["notes"]]


def test_a_time_budget_counts_from_when_the_caller_began(density: DensityMap) -> None:
    heard: list[Progress] = []
    options = EncodeOptions(resolution=16.0, time_budget=600.0, preset="preview", arch="radial-basis")
    encode(density, options, progress=heard.append, started=time.monotonic() - 1000)
    late = [p.notice.facts["seconds"] for p in heard if p.notice is not None and p.notice.code == "late"]
    assert len(late) == 1 and 400 < late[0] < 500


@pytest.fixture
def density() -> DensityMap:
    """A map of noise within a sphere: costly for any network."""
    grid = Grid((32, 32, 32), (2.0,) * 3)
    distance = np.linalg.norm(np.indices(grid.shape) - 16, axis=0)
    values = np.random.default_rng(1).normal(size=grid.shape) * (distance < 10)
    return DensityMap(values.astype(np.float32), grid)


def kinds_of(density: DensityMap, **chosen: object) -> tuple[str, list[str]]:
    """The kind that is fitted, and the codes of what is said."""
    heard: list[Progress] = []
    wanted = {"resolution": 5.0, "symmetry": "C1", "mask": "none", **chosen}
    made = encode(density, EncodeOptions(**wanted), progress=heard.append)  # type: ignore[arg-type]
    assert made.record["fit"]["settings"]["arch"] == made.field.network.kind
    return made.field.network.kind, [p.notice.code for p in heard if p.notice is not None]


def test_where_time_is_too_short_for_a_siren_that_nobody_asked_for_a_radial_basis_is_fitted(density) -> None:
    kind, said = kinds_of(density, time_budget=1.0)
    assert kind == "radial-basis" and said.count("quicker-kind") == 1


def test_json_says_that_another_kind_was_fitted(density, tmp_path) -> None:
    write_map(density, tmp_path / "a.mrc")
    given = ("--resolution", 5, "--symmetry", "C1", "--mask", "none", "--time-budget", 1, "--json", "--quiet")
    ran = run("encode", tmp_path / "a.mrc", tmp_path / "a.nmap", *given)
    found = json.loads(ran.out)
    assert found["model"]["kind"] == "radial-basis"
    assert sum("the time budget is too short for siren" in words for words in found["warnings"]) == 1
    assert len(set(found["warnings"])) == len(found["warnings"])


@pytest.mark.parametrize("arch", ["siren", "block-siren"])
def test_a_kind_that_is_asked_for_is_fitted_however_short_time_is(density, arch: str) -> None:
    kind, said = kinds_of(density, time_budget=1.0, arch=arch)
    assert kind == "block-siren" and "quicker-kind" not in said


def test_options_that_only_a_siren_has_keep_it_however_short_time_is(density) -> None:
    kind, said = kinds_of(density, time_budget=1.0, blocks=8)
    assert kind == "block-siren" and "quicker-kind" not in said


def test_where_there_is_time_the_default_kind_is_fitted(density) -> None:
    kind, said = kinds_of(density, time_budget=600.0, resolution=16.0, preset="preview", effort="low")
    assert kind == "block-siren" and "quicker-kind" not in said


def test_a_siren_that_was_begun_goes_on_from_its_checkpoint_however_short_time_is(
    density, tmp_path, monkeypatch, killed
) -> None:
    given = {"preset": "preview", "resolution": 10.0, "symmetry": "C1", "mask": "none", "time_budget": 600.0}
    given["effort"] = "low"
    killed(partial(encode, density, EncodeOptions(**given, checkpoint=tmp_path)))
    assert list(tmp_path.iterdir())
    monkeypatch.setattr(blocks_fit, "seconds_needed", lambda *_: 1e6)
    kind, said = kinds_of(density, **given, checkpoint=tmp_path)
    assert kind == "block-siren" and "quicker-kind" not in said
    assert not list(tmp_path.iterdir())


def test_how_long_a_siren_takes_grows_with_its_passes_and_points() -> None:
    torch = pytest.importorskip("torch")
    from nmap.fit.blocks.need import seconds_needed
    from nmap.fit.blocks.recipe import choose_recipe
    from nmap.fit.device import Workers

    recipe = choose_recipe(20_000, 40_000, EncodeOptions(), 0.9)
    device = torch.device("cpu")

    def needed(times: int) -> float:
        more = replace(recipe, passes=times * recipe.passes)
        with Workers(device) as workers:
            return min(seconds_needed(more, times * 40_000, workers, device) for _ in range(5))

    assert 3 * needed(1) < needed(3) < 27 * needed(1)


def test_where_memory_is_too_small_for_a_siren_that_nobody_asked_for_a_radial_basis_is_fitted(
    density, monkeypatch
) -> None:
    grid, limit = density.grid, 5.0
    needed = {
        name: KINDS[name].fitting_bytes(grid, limit, 1.0) + 4 * grid.size
        for name in ("block-siren", "radial-basis")
    }
    assert needed["radial-basis"] < needed["block-siren"]
    monkeypatch.setattr(size, "free_memory", lambda: (needed["radial-basis"] + needed["block-siren"]) // 2)
    kind, said = kinds_of(density, preset="preview", effort="low")
    assert kind == "radial-basis" and said.count("no-room") == 1
    with pytest.raises(LimitError, match="GiB are free"):
        kinds_of(density, preset="preview", arch="siren")


def test_a_long_fit_names_the_quicker_kind(density, monkeypatch) -> None:
    monkeypatch.setattr(blocks_fit, "seconds_needed", lambda *_: 601.0)
    quick = {"resolution": 16.0, "preset": "preview", "effort": "low"}
    kind, said = kinds_of(density, **quick)
    assert kind == "block-siren" and said.count("long") == 1
    _, said = kinds_of(density, **quick, arch="siren")
    assert "long" not in said


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The clocks of a watch, `now` on the wall and `cpu` of this process."""
    made = SimpleNamespace(now=0.0, cpu=0.0)
    clocks = SimpleNamespace(monotonic=lambda: made.now, process_time=lambda: made.cpu)
    monkeypatch.setattr(progress, "time", clocks)
    return made


def test_a_watch_sees_how_much_other_processes_slow_it_down(busy: SimpleNamespace) -> None:
    watch = Watch(_wall=0.0, _cpu=0.0)
    busy.now, busy.cpu = 1.0, 0.1
    assert watch.slowdown == 1  # too early to tell
    busy.now, busy.cpu = 6.0, 2.0
    assert watch.slowdown == 3
    busy.now, busy.cpu = 6.0, 12.0  # on two processors
    assert watch.slowdown == 1
    busy.now, busy.cpu = 1000.0, 1.0
    assert watch.slowdown == 10


def test_more_time_is_kept_back_for_the_end_where_all_takes_longer(busy: SimpleNamespace) -> None:
    watch = Watch(_wall=0.0, _cpu=0.0)
    busy.now, busy.cpu = 2.0, 2.0
    alone = watch.ending
    busy.now = 6.0
    assert watch.ending == 3 * alone > 0
