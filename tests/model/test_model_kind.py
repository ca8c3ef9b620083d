"""A model kind is one class and one line in the table: a toy one goes through encode, file, decode and inspect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray

import nmap
from nmap.coding.codings import encode_float
from nmap.errors import OptionError, UnsupportedError
from nmap.fit.result import History, Result
from nmap.fit.task import Task
from nmap.grid import Grid
from nmap.maps import DensityMap
from nmap.model.frame import Frame
from nmap.model.kinds import KINDS
from nmap.model.layers import Array
from nmap.model.network import Network
from nmap.neural_map import NeuralMap
from nmap.spectrum import transform

GRID = Grid((16, 18, 20), (2.0, 2.0, 2.0))
WIDTH = 0.5
"""Of the Gaussian, in network coordinates."""


@dataclass(frozen=True, eq=False)
class Ball(Network):
    """One Gaussian about the middle of the network coordinates.

    Args:
        height: (1,).
        width: a setting.
    """

    height: NDArray[np.float32]
    width: float
    kind: ClassVar[str] = "ball"
    tensor_names: ClassVar[tuple[str, ...]] = ("height",)
    setting_names: ClassVar[tuple[str, ...]] = ("width",)
    trainer: ClassVar[str] = f"{__name__}:fit_ball"
    options: ClassVar[tuple[str, ...]] = ("steps",)

    def __call__(self, t: Array, dtype: DTypeLike = np.float32) -> Array:
        return np.asarray(self.height[0] * np.exp(-(t**2).sum(1) / (2 * self.width**2)), dtype)

    def value_and_gradient(self, t: Array, dtype: DTypeLike = np.float64) -> tuple[Array, Array]:
        value = self(t, dtype)
        return value, np.asarray(-t / self.width**2 * value[:, None], dtype)

    def tensors(self) -> dict[str, NDArray[Any]]:
        return {"height": self.height}

    def settings(self) -> dict[str, Any]:
        return {"width": self.width}

    @staticmethod
    def build(settings: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> Ball:
        return Ball(tensors["height"], float(settings["width"]))


def fit_ball(task: Task) -> tuple[Result, History]:
    """A Gaussian as high as the map's highest voxel above the solvent."""
    target = task.target
    height = float(target.density.values.max()) - target.solvent
    task.watch.say("fitting", 1.0, 0.0)
    neural_map = NeuralMap.from_tensors(
        "ball",
        {"width": WIDTH},
        {"height": encode_float(np.array([height], np.float32))},
        Frame(
            target.density.grid,
            center=target.center,
            half_width=target.half_width,
            offset=target.solvent,
            band_limit=target.band_limit,
            lattice=target.lattice.shape,
        ),
    )
    curve = target.fidelity(transform(neural_map.field.lattice_values()))
    return Result(neural_map, curve, float(curve.worst(target.band_limit))), History(1, {"width": WIDTH})


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line in the table."""
    monkeypatch.setitem(KINDS, "ball", Ball)


def gaussian() -> DensityMap:
    """A Gaussian in the middle of the lattice that network coordinates span, on a solvent of 1."""
    half = max(GRID.edges) / 2
    middle = np.asarray(GRID.edges) / 2
    apart = ((GRID.points() - middle) ** 2).sum(-1)
    return DensityMap((1 + 3 * np.exp(-apart / (2 * (WIDTH * half) ** 2))).astype(np.float32), GRID)


def test_a_toy_kind_goes_through_encode_file_decode_and_inspect(tmp_path: Path) -> None:
    density = gaussian()
    made = nmap.encode(density, nmap.EncodeOptions(arch="ball", steps=7, resolution=10.0, mask="none"))
    nmap.save(made, tmp_path / "ball.nmap")
    found = nmap.inspect(tmp_path / "ball.nmap")
    assert found.to_json()["model"]["kind"] == "ball"
    assert found.to_json()["model"]["settings"] == {"width": WIDTH}
    assert found.parameters == 1 and found.widths is None
    decoded = nmap.decode(tmp_path / "ball.nmap").values
    np.testing.assert_array_equal(decoded, made.as_array())
    assert np.corrcoef(decoded.ravel(), density.values.ravel())[0, 1] > 0.9
    network = nmap.open(tmp_path / "ball.nmap").field.network
    assert isinstance(network, Ball) and network.width == WIDTH


def test_options_are_checked_by_what_the_kind_states() -> None:
    assert nmap.EncodeOptions(arch="ball", steps=7).steps == 7
    with pytest.raises(OptionError, match="`hidden_layers` with `arch` ball"):
        nmap.EncodeOptions(arch="ball", hidden_layers=2)
    with pytest.raises(
        OptionError, match="`symmetry` with `arch` ball: only block-siren and radial-basis are"
    ):
        nmap.EncodeOptions(arch="ball", symmetry="C4")


def test_a_file_of_a_kind_that_is_not_in_the_table_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = nmap.encode(gaussian(), nmap.EncodeOptions(arch="ball", resolution=10.0, mask="none"))
    nmap.save(made, tmp_path / "ball.nmap")
    monkeypatch.delitem(KINDS, "ball")
    with pytest.raises(UnsupportedError, match="'ball'"):
        nmap.open(tmp_path / "ball.nmap")


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_states_options_that_exist_and_a_trainer_that_can_be_imported(name: str) -> None:
    from nmap.fit.task import trainer_of

    assert set(KINDS[name].options) <= set(nmap.EncodeOptions.__dataclass_fields__)
    assert callable(trainer_of(KINDS[name]))
