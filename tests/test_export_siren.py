"""`export_weights`: other programs' code gets the same density from the weights, and `import_weights` does too."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import phantoms
import pytest
import torch
from cli_files import run
from safetensors import safe_open
from safetensors.torch import load_file

from nmap.container import save
from nmap.errors import FormatError, NmapWarning, OptionError, OutputExistsError
from nmap.export_siren import export_weights
from nmap.grid import Grid
from nmap.import_siren.import_siren import import_weights
from nmap.neural_map import NeuralMap

GRID = Grid((7, 9, 12), (1.5, 1.25, 2.0), (3.0, -4.0, 5.5), (90.0, 90.0, 90.0))
SUFFIXES = [".safetensors", ".npz"]


def image() -> NeuralMap:
    """A network that does not hang on its thin axis y."""
    network = phantoms.siren()
    network.first_weight[:, 1] = 0
    return phantoms.neural_map(network, Grid((9, 1, 12), (1.0, 1.0, 1.0)), offset=-1.0, scale=3.0)


MAPS = {
    "bare": lambda: phantoms.neural_map(phantoms.siren(hidden=3, omega=30.0), GRID, offset=0.25, scale=2.0),
    "of its own frame": lambda: phantoms.neural_map(
        phantoms.siren(), GRID, center=(0.4, 0.5, 0.3), half_width=(0.7, 0.5, 0.6), scale=1e-3
    ),
    "corners": lambda: phantoms.neural_map(
        phantoms.siren(seed=2),
        GRID,
        center=(3 / 7, 4 / 9, 5.5 / 12),
        half_width=(3 / 7, 4 / 9, 5.5 / 12),
        alignment="corners",
    ),
    "sine output": lambda: phantoms.neural_map(phantoms.siren(output="sine"), GRID, scale=5.0),
    "no hidden layer": lambda: phantoms.neural_map(phantoms.waves([(1, 2, 0)], [2.0], [0.3]), GRID),
    "image": image,
}


def recipe_of(path: Path) -> str:
    if path.suffix == ".npz":
        return str(np.load(path)["recipe"])
    with safe_open(path, "numpy") as file:
        return str(file.metadata()["recipe"])


def off(found: np.ndarray, wanted: np.ndarray) -> float:
    """Largest difference as a share of the range."""
    return float(np.abs(found - wanted).max() / np.ptp(wanted))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", MAPS)
def test_the_recipe_in_the_file_gives_the_decode(tmp_path: Path, kind: str, suffix: str) -> None:
    neural_map, path = MAPS[kind](), tmp_path / f"w{suffix}"
    export_weights(neural_map, path)
    recipe = recipe_of(path)
    assert len(recipe.split("\n")) == 5
    space: dict[str, Any] = {"path": str(path)}
    exec(recipe, space)
    assert space["density"].shape == neural_map.grid.shape
    assert off(space["density"], neural_map.as_array()) < 1e-5


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", MAPS)
def test_import_reads_it_back_without_being_told_anything(tmp_path: Path, kind: str, suffix: str) -> None:
    neural_map, path = MAPS[kind](), tmp_path / f"w{suffix}"
    export_weights(neural_map, path)
    back = import_weights(path)
    assert back.grid == neural_map.grid and back.field.alignment == neural_map.field.alignment
    fine = (11, 10, 14) if kind != "image" else (11, 1, 14)
    for shape in (neural_map.grid.shape, fine):
        assert off(back.as_array(shape), neural_map.as_array(shape)) < 1e-5


class Sine(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sin(30 * x)


class Wrapped(torch.nn.Module):
    """One attribute `net`, as the authors' classes have it."""

    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.net(x)
        return out


def authors_network(width: int, hidden: int) -> torch.nn.Module:
    """Layers as the SIREN authors' repository nests and names them, with its fixed factor of 30."""
    linear, sequence = torch.nn.Linear, torch.nn.Sequential
    layers = [sequence(linear(3, width), Sine())]
    layers += [sequence(linear(width, width), Sine()) for _ in range(hidden)]
    return Wrapped(Wrapped(sequence(*layers, sequence(linear(width, 1)))))


def test_a_torch_network_named_as_the_authors_loads_it_and_gives_the_decode(tmp_path: Path) -> None:
    neural_map = MAPS["bare"]()
    export_weights(neural_map, tmp_path / "w.safetensors")
    network = authors_network(16, 3)
    network.load_state_dict(load_file(tmp_path / "w.safetensors"))
    with safe_open(tmp_path / "w.safetensors", "numpy") as file:
        texts = file.metadata()
    assert json.loads(texts["omegas"]) == [30.0] * 4
    axes = [torch.arange(n) * 2 / n - 1 for n in json.loads(texts["grid"])["shape_zyx"]]
    with torch.no_grad():
        values = network(torch.stack(torch.meshgrid(*axes, indexing="ij"), -1))[..., 0].numpy()
    density = float(texts["offset"]) + float(texts["scale"]) * values
    assert off(density, neural_map.as_array()) < 1e-5


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_map_gives_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    files = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for file in files:
        export_weights(MAPS["bare"](), file)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_what_is_no_plain_siren_is_refused_and_bare_is_named(tmp_path: Path) -> None:
    limited = phantoms.neural_map(phantoms.siren(), GRID, resolution=6.0, occupancy=np.ones((4, 4, 4), bool))
    for neural_map, words in (
        (limited, "a siren network with a band limit and an envelope is no plain SIREN"),
        (phantoms.neural_map(phantoms.fourier_features(), GRID), "a fourier-features network is no plain"),
    ):
        with pytest.raises(OptionError, match=f"{words}.*`bare`"):
            export_weights(neural_map, tmp_path / "w.npz")
    with pytest.raises(OptionError, match=re.escape("wanted a name that ends in .safetensors or .npz")):
        export_weights(MAPS["bare"](), tmp_path / "w.pt")
    assert not list(tmp_path.iterdir())


def test_a_file_is_not_replaced_unasked(tmp_path: Path) -> None:
    (tmp_path / "w.npz").write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        export_weights(MAPS["bare"](), tmp_path / "w.npz")
    assert (tmp_path / "w.npz").read_bytes() == b"mine"
    export_weights(MAPS["bare"](), tmp_path / "w.npz", overwrite=True)


@pytest.mark.parametrize(
    ("text", "value", "said"),
    [
        ("made_by", "nmap export-weights 2", "update nmap"),
        ("omegas", "[30.0]", "names 1 omegas: wanted 4"),
        ("omegas", "[1e999, 30.0, 30.0, 30.0]", "damaged"),
        ("omegas", "30", "damaged"),
        ("grid", "{}", "damaged"),
        ("grid", "[" * 5000, "damaged"),
        ("scale", "nan", "damaged"),
        ("alignment", "left", "alignment 'left'"),
    ],
)
def test_damaged_texts_are_one_line_that_names_the_file(
    tmp_path: Path, text: str, value: str, said: str
) -> None:
    export_weights(MAPS["bare"](), tmp_path / "w.npz")
    arrays = {**np.load(tmp_path / "w.npz"), text: np.asarray(value)}
    np.savez(tmp_path / "w.npz", **arrays)
    with pytest.raises(FormatError, match=said) as raised:
        import_weights(tmp_path / "w.npz")
    assert str(raised.value).startswith(f"{tmp_path / 'w.npz'}: ") and "\n" not in str(raised.value)


def test_what_is_given_goes_before_what_the_file_says(tmp_path: Path) -> None:
    export_weights(MAPS["bare"](), tmp_path / "w.npz")
    other = Grid((4, 4, 4), (2.0, 2.0, 2.0))
    with pytest.warns(
        NmapWarning, match=r"names its own grid, .*; the one that was given is taken, 4 x 4 x 4"
    ):
        made = import_weights(
            tmp_path / "w.npz", other, omega=5.0, alignment="corners", scale=7.0, offset=1.0
        )
    assert made.grid == other and made.field.network.settings()["omegas"] == [5.0] * 4
    assert (made.field.scale, made.field.offset, made.field.alignment) == (7.0, 1.0, "corners")


def test_the_commands_go_there_and_back(tmp_path: Path) -> None:
    save(MAPS["bare"](), tmp_path / "a.nmap")
    weights = tmp_path / "w.safetensors"
    assert run("export-weights", tmp_path / "a.nmap", "-o", weights).code == 0
    assert run("import-weights", weights, "-o", tmp_path / "b.nmap").code == 0
    moved = ("--shape", 8, "--voxel-size", 3)
    ran = run("import-weights", weights, *moved, "-o", tmp_path / "c.nmap")
    assert ran.code == 0 and "names its own grid" in ran.err
    for name in ("a", "b"):
        assert run("decode", tmp_path / f"{name}.nmap", "-o", tmp_path / f"{name}.mrc").code == 0
    assert (tmp_path / "a.mrc").read_bytes()[1024:] == (tmp_path / "b.mrc").read_bytes()[1024:]
    again = run("export-weights", tmp_path / "a.nmap", "-o", weights)
    assert again.code != 0 and "--overwrite" in again.err
