"""What a file says of its fidelity inside its envelope, measured again from file and source."""

from __future__ import annotations

import json

import numpy as np
import pytest

import nmap
from nmap.coding.codings import encode_float
from nmap.coding.occupancy import of_shape, with_shape
from nmap.compare.measures import Limits
from nmap.compare.two_maps import compare_maps
from nmap.container import open_map
from nmap.envelope.envelope import Envelope
from nmap.errors import FormatError, NonFiniteError
from nmap.grid import Grid
from nmap.maps import DensityMap
from nmap.model.frame import Frame
from nmap.validation import validate_file

RESOLUTION = 6.0
GRID = Grid((48, 48, 48), (2.0,) * 3)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A molecule in noise, and its network."""
    rng = np.random.default_rng(3)
    index = np.indices(GRID.shape) - 24
    values = np.zeros(GRID.shape)
    for place in rng.normal(0, 4, (60, 3)):
        values += np.exp(-((index - place[:, None, None, None]) ** 2).sum(0) / 3)
    values += rng.normal(0, 0.12, GRID.shape)
    folder = tmp_path_factory.mktemp("envelope")
    density = DensityMap(values.astype(np.float32), GRID)
    nmap.write_map(density, folder / "source.mrc")
    options = nmap.EncodeOptions(arch="radial-basis", resolution=RESOLUTION, symmetry="C1", effort="low")
    nmap.save(nmap.encode(folder / "source.mrc", options), folder / "file.nmap")
    return folder / "file.nmap", folder / "source.mrc"


def test_validate_measures_the_figure_that_encode_states(files):
    fidelity = open_map(files[0]).record["fidelity"]
    assert fidelity["mask"] == "envelope"
    found = validate_file(*files, limits=Limits(min_fsc=0.9)).findings
    assert found.enveloped is not None
    assert found.enveloped.worst == pytest.approx(fidelity["worst"], abs=1e-4)
    assert found.judged is found.enveloped and found.holds
    assert found.fidelity.worst < 0.8  # the whole box, noise of the solvent included
    assert found.to_json()["fidelity_enveloped"]["within"] == "envelope"


def test_noise_that_was_left_out_on_purpose_does_not_count_as_detail_that_is_lost(files, tmp_path):
    source = nmap.read_map(files[1])
    values = source.values.copy()
    values[:8] += np.random.default_rng(5).normal(0, 0.6, values[:8].shape).astype(np.float32)  # uneven noise
    nmap.write_map(DensityMap(values, GRID), tmp_path / "uneven.mrc")
    found = validate_file(files[0], tmp_path / "uneven.mrc").findings
    whole = compare_maps(nmap.decode(files[0]), DensityMap(values, GRID), resolution=RESOLUTION)
    assert whole.local.first_percentile < 0.1 and whole.local.verdict == "lost"
    assert found.local.first_percentile > 0.9 and found.local.verdict == "kept"


def test_the_kept_envelope_gives_that_figure_by_another_sum_over_modes(files):
    bits = of_shape(open_map(files[0]).record["fidelity"]["envelope"], 1 << 20)
    soft = Envelope(bits).on_lattice(GRID.shape)
    source = nmap.read_map(files[1]).values
    solvent = np.median(source[soft < 0.5])
    a, b = (np.fft.fftn(v) for v in (nmap.open(files[0]).as_array(), (source - solvent) * soft))
    k = np.fft.fftfreq(48) * 48
    shell = np.rint(np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)).astype(int)
    curve = [
        (a[shell == s] * b[shell == s].conj()).real.sum()
        / np.sqrt((abs(a[shell == s]) ** 2).sum() * (abs(b[shell == s]) ** 2).sum())
        for s in range(1, int(96 / RESOLUTION) + 1)
    ]
    assert min(curve) == pytest.approx(open_map(files[0]).record["fidelity"]["worst"], abs=1e-4)


def test_inspection_as_json_leaves_the_bits_of_the_envelope_out(files):
    found = json.loads(json.dumps(nmap.inspect(files[0]).to_json()))
    assert found["fidelity"]["mask"] == "envelope"
    assert "envelope" not in found["fidelity"]


def test_a_mask_that_is_given_counts_instead(files):
    found = validate_file(*files, mask="auto").findings
    assert found.judged is found.masked


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 1, 1), (2, 70, 9)])
def test_bits_come_back_with_their_shape(shape):
    bits = np.random.default_rng(0).random(shape) < 0.4
    assert (of_shape(with_shape(bits), 1 << 20) == bits).all()


@pytest.mark.parametrize("data", [b"", b"\0" * 6, b"\xff" * 8])
def test_bits_of_an_absurd_shape_are_refused(data):
    with pytest.raises(FormatError, match="bits"):
        of_shape(data, 1 << 20)


def test_a_network_without_finite_values_is_refused_in_a_line(tmp_path):
    parts = {
        "first.weight": np.full((4, 3), 3e38, np.float32),
        "first.bias": np.zeros(4, np.float32),
        "hidden.weight": np.zeros((1, 4, 4), np.float32),
        "hidden.bias": np.zeros((1, 4), np.float32),
        "last.weight": np.ones((1, 4), np.float32),
        "last.bias": np.zeros(1, np.float32),
    }
    made = nmap.NeuralMap.from_tensors(
        "siren",
        {"omegas": [1e30, 30.0], "output": "linear"},
        {name: encode_float(values) for name, values in parts.items()},
        Frame(Grid((8, 8, 8), (2.0,) * 3)),
    )
    nmap.save(made, tmp_path / "wild.nmap")
    values = np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)
    nmap.write_map(DensityMap(values, made.grid), tmp_path / "source.mrc")
    with (
        np.errstate(all="ignore"),
        pytest.raises(NonFiniteError, match="its network gives values"),
    ):
        validate_file(tmp_path / "wild.nmap", tmp_path / "source.mrc")
