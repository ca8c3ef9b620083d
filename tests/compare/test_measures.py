"""The table of measures, and what follows from an entry of it: limit, option, exit code, JSON, schema, text, page."""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

import nmap.compare.findings
import nmap.compare.measures
import nmap_cli.findings_text
import nmap_cli.limits
from nmap.compare.json_values import as_json
from nmap.compare.measures import MEASURES, Check, Limits, Measure, measure_of
from nmap.compare.two_maps import compare_maps
from nmap.errors import OptionError
from nmap.grid import Grid
from nmap.maps import DensityMap
from nmap.report.finding_words import check_words

ROOT = Path(__file__).parents[2]
GRID = Grid((12, 12, 12), (2.0, 2.0, 2.0))
MADE_UP = Measure(
    name="tails",
    words="share of the source beyond {where}",
    value=lambda found: 0.25,
    relation="<=",
    unit="of it",
    metavar="T",
    asks="the tails",
    heading="Tails",
    good="no tails",
)


def noise(seed):
    values = np.random.default_rng(seed).standard_normal(GRID.shape, dtype=np.float32)
    return DensityMap(values, GRID)


@pytest.fixture(name="with_one_more")
def make_table(monkeypatch):
    """The table as it is with one more entry, for all who read it."""
    table = (*MEASURES, MADE_UP)
    for module in (nmap.compare.measures, nmap.compare.findings, nmap_cli.findings_text):
        monkeypatch.setattr(module, "MEASURES", table)
    monkeypatch.setattr(nmap_cli.limits, "LIMITED", [measure for measure in table if measure.option])


def test_every_entry_has_its_own_name_and_says_what_its_option_asks():
    names = [measure.name for measure in MEASURES]
    assert len(set(names)) == len(names)
    assert all(measure.asks for measure in MEASURES if measure.option)
    assert all(measure.good for measure in MEASURES if measure.promise is not None)


def test_a_new_entry_is_a_limit_an_option_json_and_text_at_once(with_one_more):
    @click.command()
    @nmap_cli.limits.limit_options
    def command(**given):
        found = compare_maps(noise(0), noise(0), limits=nmap_cli.limits.checked_limits(given))
        click.echo(json.dumps(found.to_json()["measures"]))
        click.echo(nmap_cli.findings_text.findings_text(found, "a.nmap"))
        raise SystemExit(0 if found.holds else 1)

    short = CliRunner().invoke(command, ["--max-tails", "0.2"])
    assert short.exit_code == 1
    assert json.loads(short.output.splitlines()[0])["tails"] == 0.25
    assert "Tails" in short.output and "is 0.25 of it, wanted at most 0.2 of it" in short.output
    kept = CliRunner().invoke(command, ["--max-tails", "0.3"])
    assert kept.exit_code == 0 and "no tails" in kept.output
    assert "Fall short if the tails is above this" in CliRunner().invoke(command, ["--help"]).output


def test_a_value_that_is_no_number_keeps_no_limit():
    flat = DensityMap(np.zeros(GRID.shape, np.float32), GRID)
    found = compare_maps(noise(0), flat, limits=Limits(min_correlation=-1, min_fsc=-1))
    assert [check.holds for check in found.checks] == [False, False]


def test_a_limit_on_nothing_that_was_given_is_refused_before_the_work():
    with pytest.raises(OptionError, match="`max_bytes` needs sizes"):
        compare_maps(noise(0), noise(1), limits=Limits(max_bytes=100))
    with pytest.raises(OptionError, match=r"limit min_nonsense: .*min_fsc"):
        Limits(min_nonsense=1)


def test_a_check_says_what_was_seen_and_what_was_wanted():
    found = compare_maps(noise(0), noise(1), limits=Limits(min_fsc=0.9))
    said = check_words(found.failed[0], found)
    assert said.startswith("lowest FSC of the shells to Nyquist, over the whole box is -0.")
    assert said.endswith("wanted at least 0.9")


@pytest.mark.parametrize(
    ("name", "value", "limit"),
    [
        ("fsc", 0.899999, 0.9),
        ("correlation", 0.99999999, 1.0),
        ("dq", 0.0200001, 0.02),
        ("rmse", 1.00000001, 1.0),
    ],
)
def test_a_value_that_falls_short_never_reads_as_if_it_did_not(name, value, limit):
    found = compare_maps(noise(0), noise(1))
    said = check_words(Check(measure_of(name), value, limit), found)
    seen, wanted = re.search(r" is ([\d.]+)\D*, wanted at (?:least|most) ([\d.]+)", said).groups()
    assert not measure_of(name).keeps(float(seen), float(wanted)), said


def test_json_holds_every_measure_and_the_schema_follows_the_table():
    found = compare_maps(noise(0), noise(1)).to_json()
    assert list(found["measures"]) == [measure.name for measure in MEASURES]
    assert found["measures"]["correlation"] == found["real_space"]["correlation"]
    spec = importlib.util.spec_from_file_location("make_schema", ROOT / "docs" / "make_validate_schema.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    written = maker.PAGE.read_text(encoding="utf-8")
    assert written == maker.current(json.loads(written)), "run `make docs`"


def test_what_json_cannot_say_is_null_and_unknown_things_are_refused():
    real = compare_maps(noise(0), noise(0)).real_space
    assert as_json(real)["psnr"] is None
    assert as_json(replace(real, rmse=1 / 3))["rmse"] == 0.3333333
    with pytest.raises(TypeError, match="set in findings"):
        as_json({1, 2})
