"""What a file's record tells of side chains; tests/browser/words.test.mjs holds the viewer to the same cases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nmap.side_chains import KEPT_FROM, RELATIVE, SHOWN_TO, side_chains, subject

SHARED = json.loads((Path(__file__).parent / "data" / "side_chains.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", SHARED["cases"], ids=[case["what"] for case in SHARED["cases"]])
def test_the_record_tells_of_side_chains(case: dict) -> None:
    found = side_chains(case["record"])
    assert (found.verdict, found.wanted) == (case["verdict"], case["wanted"])


def test_the_table_of_the_shared_cases_is_the_one_in_use() -> None:
    table = {"keptFrom": dict(KEPT_FROM), "shownTo": SHOWN_TO, "relative": list(RELATIVE)}
    assert table == SHARED["rule"]


def test_a_map_too_coarse_for_side_chains_has_detail() -> None:
    assert (subject(3.2), subject(None), subject(8.0)) == ("side chains", "side chains", "detail")
