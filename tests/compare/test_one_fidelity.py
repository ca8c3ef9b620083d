"""One file has one fidelity: what a fit says at its end, the record, `validate` and the report give one number."""

from __future__ import annotations

import numpy as np
import pytest

import nmap
from nmap.container import open_map
from nmap.grid import Grid
from nmap.maps import DensityMap
from nmap.spectrum import band_limited
from nmap.validation import validate_file

GRID = Grid((32, 32, 32), (2.0, 2.0, 2.0))
LIMIT = 6.0


def noise(seed):
    return np.random.default_rng(seed).standard_normal(GRID.shape, dtype=np.float32)


def molecule():
    """Blobs in the middle of the box, cut at 8 A."""
    rng, index = np.random.default_rng(3), np.indices(GRID.shape) - 16
    values = np.zeros(GRID.shape, np.float32)
    for place in rng.normal(0, 3, (40, 3)):
        values += np.exp(-((index - place[:, None, None, None]) ** 2).sum(0) / 3)
    return band_limited(values, GRID, 8.0)


def faint_end():
    """The last shells are empty by the fit's coarse samples, but not by the map's own."""
    return molecule() + 1.4e-3 * molecule().std() * band_limited(noise(0), GRID, LIMIT)


@pytest.mark.parametrize(
    ("options", "source"),
    [
        ({"mask": "none"}, faint_end()),
        ({"mask": "auto"}, faint_end()),
        (
            {"mask": "none", "arch": "siren", "steps": 60, "hidden_features": 32, "hidden_layers": 1},
            faint_end(),
        ),
        ({"mask": "none", "downsample": 2, "resolution": 9.0}, faint_end() + 1e-3 * noise(5)),
        ({"half1": 1, "half2": 2}, molecule()),
    ],
    ids=["empty-shells", "masked", "siren", "downsampled", "half-maps"],
)
def test_the_log_the_record_and_validate_say_one_number(tmp_path, options, source):
    asked = {"resolution": LIMIT, "symmetry": "C1", "arch": "radial-basis", **options}
    if asked["arch"] == "radial-basis":
        asked["effort"] = "low"
    if "half1" in options:
        halves = [DensityMap(source + 0.15 * source.std() * noise(seed), GRID) for seed in (1, 2)]
        asked |= {"half1": halves[0], "half2": halves[1]}
        source = (halves[0].values + halves[1].values) / 2
    nmap.write_map(DensityMap(source, GRID), tmp_path / "source.mrc")
    said = []
    made = nmap.encode(
        tmp_path / "source.mrc", nmap.EncodeOptions(**asked), progress=lambda p: said.append(p.fsc)
    )
    nmap.save(made, tmp_path / "a.nmap")
    recorded = open_map(tmp_path / "a.nmap").record["fidelity"]["worst"]
    found = validate_file(tmp_path / "a.nmap", tmp_path / "source.mrc").findings
    assert found.judged.worst == pytest.approx(recorded, abs=2e-4)
    assert found.to_json()["measures"]["fsc"] == pytest.approx(recorded, abs=2e-4)
    assert said[-1] == pytest.approx(recorded, abs=2e-3)
