"""What `EncodeOptions` refuses, and that it says so in the words of whoever gave the options."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import pytest
from cli_files import run

from nmap.errors import OptionError
from nmap.fit.options import EncodeOptions
from nmap_cli.common import as_typed

GIVEN = {
    "arch": "siren",
    "bare": True,
    "blocks": 8,
    "checkpoint": Path("state"),
    "cross_validate": True,
    "effort": "low",
    "gains": "least-squares",
    "half1": __file__,
    "hidden_features": 16,
    "max_bytes": 8192,
    "omega0": 20.0,
    "preset": "preview",
    "ratio": 100.0,
    "steps": 10,
    "symmetry": "C2",
    "target_fsc": 0.9,
    "weight_bits": 4,
}


@pytest.mark.parametrize("names", list(combinations(GIVEN, 2)), ids="-".join)
def test_what_is_refused_is_named_by_options_that_were_given(names: tuple[str, ...]) -> None:
    given = {name: GIVEN[name] for name in names}
    if "half1" in given:
        given["half2"] = __file__
    try:
        EncodeOptions(**given)
    except OptionError as error:
        refused, _, advice = str(error).partition(": ")
        named = set(re.findall(r"`(\w+)`", refused))
        assert named and named <= set(given), error
        assert re.search("leave|wanted", advice), error


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"arch": "block-siren", "half1": __file__, "half2": __file__},
            "half maps (`half1`, `half2`) with `arch` block-siren: only radial-basis is fitted with that so far: give "
            "another `arch`, or leave the half maps out",
        ),
        (
            {"blocks": 8, "half1": __file__, "half2": __file__},
            "`blocks` with half maps (`half1`, `half2`): no kind of network has both; leave one out",
        ),
        (
            {"arch": "siren", "blocks": 8, "weight_bits": 4},
            "`weight_bits` with `arch` siren, which is block-siren by `blocks`: only siren and fourier-features are "
            "fitted with that so far: give another `arch`, or leave `weight_bits` out",
        ),
        ({"target_fsc": 2.0}, "`target_fsc` 2: wanted a number between 0 and 1"),
    ],
)
def test_a_refusal_says_what_was_seen_and_what_to_do(given: dict, said: str) -> None:
    with pytest.raises(OptionError) as caught:
        EncodeOptions(**given)
    assert str(caught.value) == said


def test_the_command_line_writes_options_as_they_are_typed(tmp_path: Path) -> None:
    assert as_typed("`max_bytes` 8: or `grid`; a `b") == (
        "--max-bytes 8: or grid by --grid-like MAP, or --shape and --voxel-size; a `b"
    )
    assert as_typed("use `crop`, or `mask`.") == "use --crop, or --mask."
    assert as_typed("maps/`crop`.mrc") == "maps/`crop`.mrc"  # a file's name
    source = Path(__file__).parents[2] / "examples" / "emd_3488.map.gz"
    ran = run("encode", source, tmp_path / "a.nmap", "--bare", "--effort", "low")
    assert ran.code == 2
    assert ran.err == "nmap: error: --effort with --bare: a plain siren has none; leave one of the two out\n"
