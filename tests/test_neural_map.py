"""`NeuralMap`: what is measured on it is what the stored tensors give."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from phantoms import fourier_features, neural_map, siren

from nmap.coding.codings import encode_float, encode_log, encode_occupancy, encode_uniform
from nmap.errors import FormatError, OptionError, UnsupportedError
from nmap.grid import Grid
from nmap.model.frame import Frame
from nmap.neural_map import NeuralMap
from nmap.point_group import PointGroup
from nmap.spectrum import lattice_shape

BOX = Grid((16, 18, 20), (1.5, 1.5, 1.5), (4.0, 5.0, 6.0))


def coded(bits: int = 8) -> dict[str, object]:
    """Everything a file can store, in codings that lose something."""
    network = siren(16, 2)
    tensors = {name: encode_float(v, "F16") for name, v in network.tensors().items()}
    tensors["hidden.weight"] = encode_uniform(network.hidden_weight, bits)
    tensors["gains"] = encode_log(np.linspace(3, 0.2, int(max(BOX.edges) / 4.0) + 1))
    tensors["envelope"] = encode_occupancy(np.random.default_rng(0).random((5, 6, 7)) < 0.6)
    return {"kind": "siren", "settings": network.settings(), "tensors": tensors}


def made(bits: int = 8, record: object = None, **more: object) -> NeuralMap:
    return NeuralMap.from_tensors(
        **coded(bits),
        frame=Frame(BOX, band_limit=4.0, lattice=lattice_shape(BOX, 4.0), **more),
        record=record,
    )


def test_the_density_is_that_of_the_stored_tensors_not_of_the_fitted_ones() -> None:
    fitted = siren(16, 2)
    stored = made(bits=3).field.network.tensors()
    assert np.abs(stored["hidden.weight"] - fitted.hidden_weight).max() > 1e-3
    levels = np.unique(stored["hidden.weight"][0, 0])
    assert len(levels) <= 8
    np.testing.assert_array_equal(stored["first.bias"], fitted.first_bias.astype(np.float16))
    assert made(bits=3).as_array().std() > 0.01


def test_tensors_are_kept_as_they_came() -> None:
    parts = coded()
    whole = NeuralMap.from_tensors(**parts, frame=Frame(BOX, band_limit=4.0, lattice=lattice_shape(BOX, 4.0)))
    assert whole.tensors is parts["tensors"]
    assert whole.field.envelope is not None and whole.field.envelope.shape == (5, 6, 7)
    assert whole.field.gains is not None and whole.field.gains[0] == pytest.approx(3, rel=0.01)


def test_everything_together_agrees_between_grid_and_points() -> None:
    whole = made(
        symmetry=PointGroup("C2", (15.0, 13.5, 12.0)), offset=1.5, scale=-2.0, center=(0.4, 0.5, 0.6)
    )
    values = whole.as_array()
    np.testing.assert_allclose(whole.sample(BOX.points()), values, atol=1e-5 * np.ptp(values))
    assert whole.grid is BOX and values.shape == BOX.shape and values.dtype == np.float32


def test_fourier_features_go_the_same_way() -> None:
    whole = neural_map(fourier_features(), BOX, resolution=4.0)
    values = whole.as_array()
    np.testing.assert_allclose(whole.sample(BOX.points()), values, atol=1e-5 * np.ptp(values))


def test_a_shape_means_the_same_box() -> None:
    whole = made()
    grid = whole.grid_for((32, 36, 40))
    assert grid.voxel_size == (0.75, 0.75, 0.75) and grid.origin == BOX.origin
    np.testing.assert_allclose(whole.as_array((32, 36, 40)), whole.on_grid(grid), atol=1e-6)


def test_the_record_travels_and_changes_nothing() -> None:
    whole = made(record={"fit": {"seed": 3}})
    assert whole.record["fit"]["seed"] == 3
    np.testing.assert_array_equal(whole.as_array(), made().as_array())
    assert made().record == {}


def test_a_neural_map_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        made().field = None


def test_an_envelope_must_be_bits() -> None:
    parts = coded()
    parts["tensors"]["envelope"] = encode_float(np.ones((3, 3, 3)))
    with pytest.raises(FormatError, match="occupancy"):
        NeuralMap.from_tensors(**parts, frame=Frame(BOX))


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="wavelet"):
        NeuralMap.from_tensors(**{**coded(), "kind": "wavelet"}, frame=Frame(BOX))


@pytest.mark.parametrize(
    ("points", "wrong"),
    [
        ([[1, 2, 3], [1, np.nan, 3]], r"1 of 2 are not finite, the first is \[1.0, nan, 3.0\] at 1"),
        ([np.inf, 0, 0], "1 of 1 are not finite"),
        ([1, 2], r"shape \(2,\): wanted"),
        (3.0, r"shape \(\): wanted"),
    ],
)
def test_points_that_are_none_are_refused_and_never_taken_for_solvent(points: object, wrong: str) -> None:
    for ask in (made().sample, made().gradient):
        with pytest.raises(OptionError, match=wrong):
            ask(points)
