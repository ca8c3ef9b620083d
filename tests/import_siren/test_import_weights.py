"""SIREN weights trained elsewhere: the notebook's layout, its grid, and files that are refused."""

from __future__ import annotations

import os
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from phantoms import siren
from safetensors.numpy import save_file
from scipy.ndimage import binary_dilation, map_coordinates
from scipy.spatial.transform import Rotation

from nmap.errors import FormatError, LimitError, OptionError
from nmap.grid import Grid
from nmap.import_siren.import_siren import import_weights
from nmap.model import Siren

GRID = Grid((9, 11, 13), (2.0, 2.0, 2.0), (5.0, 6.0, 7.0))


def notebook_names(network: Siren, prefix: str = "") -> dict[str, np.ndarray]:
    """Tensors under the names that the SIREN authors' notebook gives them."""
    t = network.tensors()
    layers = [(t["first.weight"], t["first.bias"]), *zip(t["hidden.weight"], t["hidden.bias"], strict=True)]
    out = {}
    for number, (weight, bias) in enumerate(layers):
        out[f"{prefix}net.{number}.linear.weight"], out[f"{prefix}net.{number}.linear.bias"] = weight, bias
    last = f"{prefix}net.{len(layers)}." + ("linear." if network.output == "sine" else "")
    out[last + "weight"], out[last + "bias"] = t["last.weight"], t["last.bias"]
    return out


def write(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    arrays = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".safetensors":
        save_file(arrays, path)
    else:
        torch.save({name: torch.from_numpy(values) for name, values in arrays.items()}, path)
    return path


def by_torch(network: Siren, shape: tuple[int, int, int]) -> np.ndarray:
    """The notebook's own evaluation: a linspace(-1, 1) mesh through the layers."""
    mesh = torch.meshgrid(*(torch.linspace(-1, 1, n, dtype=torch.float64) for n in shape), indexing="ij")
    h = torch.stack(mesh, -1).reshape(-1, 3)
    arrays = [torch.from_numpy(v).double() for v in notebook_names(network).values()]
    for (weight, bias), omega in zip(
        zip(arrays[::2], arrays[1::2], strict=True), network.omegas, strict=False
    ):
        h = torch.sin(omega * (h @ weight.T + bias))
    if network.output == "linear":
        h = h @ arrays[-2].T + arrays[-1]
    return h[:, 0].reshape(shape).numpy()


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pt"])
@pytest.mark.parametrize("output", ["linear", "sine"])
@pytest.mark.parametrize("prefix", ["", "model."])
def test_weights_decode_as_torch_evaluates_them_on_the_notebooks_mesh(
    tmp_path: Path, suffix: str, output: str, prefix: str
) -> None:
    network = siren(20, 2, omega=12.0, output=output)
    made = import_weights(write(tmp_path / f"w{suffix}", notebook_names(network, prefix)), GRID, omega=12.0)
    expected = by_torch(network, GRID.shape)
    np.testing.assert_allclose(made.as_array(), expected, atol=1e-5 * np.ptp(expected))
    fine = by_torch(network, (17, 21, 25))
    np.testing.assert_allclose(made.as_array((17, 21, 25)), fine, atol=1e-5 * np.ptp(fine))
    assert made.grid_for((17, 21, 25)).voxel_size == (1.0, 1.0, 1.0)
    assert made.grid == GRID and made.field.band_limit is None


def test_first_and_hidden_omega_are_told_apart(tmp_path: Path) -> None:
    network = siren(8, 2)
    path = write(tmp_path / "w.npz", notebook_names(network))
    made = import_weights(path, GRID, omega=50.0, omega_hidden=20.0)
    assert made.field.network.settings()["omegas"] == [50.0, 20.0, 20.0]
    assert import_weights(path, GRID).field.network.settings()["omegas"] == [30.0, 30.0, 30.0]


def test_columns_in_x_y_z_order_give_the_transposed_map(tmp_path: Path) -> None:
    grid = Grid((9, 9, 9), (2.0, 2.0, 2.0))
    path = write(tmp_path / "w.npz", notebook_names(siren(8, 1)))
    plain, turned = (import_weights(path, grid, columns=c, omega=4.0).as_array() for c in ("zyx", "xyz"))
    np.testing.assert_allclose(turned, plain.transpose(2, 1, 0), atol=1e-5)


def test_weights_are_stored_as_float32_and_their_source_is_named(tmp_path: Path) -> None:
    network = siren(16, 2)
    made = import_weights(write(tmp_path / "w.npz", notebook_names(network)), GRID)
    assert {t.coding for t in made.tensors.values()} == {"float"}
    assert sum(t.nbytes for t in made.tensors.values()) == 4 * sum(v.size for v in network.tensors().values())
    assert made.record["fit"]["imported_from"] == "w.npz"


def test_a_single_layer_and_its_output_are_enough(tmp_path: Path) -> None:
    network = siren(8, 0)
    made = import_weights(write(tmp_path / "w.npz", notebook_names(network)), GRID, omega=4.0)
    np.testing.assert_allclose(made.as_array(), by_torch(network, GRID.shape), atol=1e-5)


def spoilt(change: str) -> dict[str, np.ndarray]:
    arrays = notebook_names(siren(8, 2))
    if change == "a layer missing":
        del arrays["net.1.linear.weight"], arrays["net.1.linear.bias"]
    elif change == "a bias missing":
        del arrays["net.1.linear.bias"]
    elif change == "two coordinates":
        arrays["net.0.linear.weight"] = arrays["net.0.linear.weight"][:, :2]
    elif change == "another width":
        arrays["net.2.linear.bias"] = np.zeros(9, np.float32)
    elif change == "two outputs":
        arrays["net.3.weight"] = np.zeros((2, 8), np.float32)
    elif change == "a stranger":
        arrays["optimizer.lr"] = np.zeros(1, np.float32)
    elif change == "a NaN":
        arrays["net.0.linear.bias"] = np.full(8, np.nan, np.float32)
    elif change == "integers":
        arrays["net.0.linear.bias"] = np.zeros(8, np.int32)
    elif change == "objects":
        arrays["net.0.linear.bias"] = np.array([print] * 8, object)
    return arrays


@pytest.mark.parametrize(
    "change",
    [
        "a layer missing",
        "a bias missing",
        "two coordinates",
        "another width",
        "two outputs",
        "a stranger",
        "a NaN",
        "integers",
        "objects",
    ],
)
def test_what_is_not_such_a_network_is_refused_in_one_line(tmp_path: Path, change: str) -> None:
    path = tmp_path / "w.npz"
    np.savez(path, **spoilt(change))
    with pytest.raises(FormatError, match=rf"^{re.escape(str(path))}: .*\S$") as caught:
        import_weights(path, GRID)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["w.npz", "w.safetensors", "w.pt", "w.onnx"])
def test_files_that_are_something_else_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\x00not weights at all" * 10)
    with pytest.raises(FormatError, match=name):
        import_weights(path, GRID)


def test_a_header_that_declares_more_than_its_file_is_refused_before_allocation(tmp_path: Path) -> None:
    path = write(tmp_path / "w.npz", {"net.0.linear.weight": np.zeros((8, 3), np.float32)})
    with zipfile.ZipFile(path) as archive:
        member = archive.read("net.0.linear.weight.npy")
    forged = member.replace(b"'shape': (8, 3), }            ", b"'shape': (8000000000000, 300), }")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net.0.linear.weight.npy", forged)
    with pytest.raises(FormatError, match="8000000000000"):
        import_weights(path, GRID)


def test_an_archive_that_unpacks_beyond_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "w.npz", notebook_names(siren(8, 2)))
    monkeypatch.setattr("nmap.import_siren.found_weights.MAX_BYTES", 1000)
    with pytest.raises(LimitError, match="1000"):
        import_weights(path, GRID)


class Harmful:
    """A pickle of it would make a file when loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_never_run_and_the_advice_is_one_line(tmp_path: Path, zipped: bool) -> None:
    trace = tmp_path / "ran"
    path = tmp_path / "model.pt"
    if zipped:
        torch.save(Harmful(trace), path)
    else:
        path.write_bytes(pickle.dumps(Harmful(trace)))
    with pytest.raises(FormatError, match=r"numpy\.savez or safetensors") as caught:
        import_weights(path, GRID)
    assert "\n" not in str(caught.value)
    assert not trace.exists()


def test_a_legacy_torch_pickle_of_a_whole_model_is_refused(tmp_path: Path) -> None:
    """As torch 1.4 wrote them; the class comes by name and would be imported."""
    path = tmp_path / "model.pt"
    torch.save(torch.nn.Linear(3, 4), path, _use_new_zipfile_serialization=False)
    with pytest.raises(FormatError, match="no plain state dict"):
        import_weights(path, GRID)


@pytest.mark.parametrize(
    "options", [{"omega": 0.0}, {"omega": float("nan")}, {"alignment": "centres"}, {"columns": "yxz"}]
)
def test_options_that_cannot_be_used_are_refused(tmp_path: Path, options: dict[str, object]) -> None:
    path = write(tmp_path / "w.npz", notebook_names(siren(8, 2)))
    with pytest.raises(OptionError, match="wanted"):
        import_weights(path, GRID, **options)


def self_correlation(values: np.ndarray, fold: int, centre: np.ndarray) -> float:
    """Mean correlation with the copies turned about the first axis, in the molecule and just around it."""
    level = np.median(values)
    spots = np.argwhere(binary_dilation(values > level + 0.25 * (values.max() - level)))
    own = values[tuple(spots.T)]
    found = []
    for turn in range(1, fold):
        matrix = Rotation.from_rotvec([2 * np.pi * turn / fold, 0, 0]).as_matrix()
        copies = map_coordinates(values, ((spots - centre) @ matrix.T + centre).T, order=3, mode="nearest")
        found.append(np.corrcoef(own, copies)[0, 1])
    return float(np.mean(found))


@pytest.mark.skipif(
    "NMAP_THESIS_WEIGHTS" not in os.environ, reason="NMAP_THESIS_WEIGHTS names no weights file"
)
def test_the_thesis_weights_decode_to_the_t20s_proteasome() -> None:
    # Columns in x, y, z: only so is the axis z, and the hand that of the atomic model (PDB 3c91).
    made = import_weights(
        os.environ["NMAP_THESIS_WEIGHTS"], Grid((100,) * 3, (1.96,) * 3), omega=50.0, columns="xyz"
    )
    assert sum(t.size for t in made.tensors.values()) == 461825
    assert sum(t.nbytes for t in made.tensors.values()) == 1847300
    values = made.as_array().astype(np.float64)
    # The centre of the 200^3 source, voxel 100, in a grid whose corner voxels stay: 100 * 99 / 199.
    centre = np.full(3, 100 * 99 / 199)
    assert self_correlation(values, 7, centre) > 0.9
    assert self_correlation(values, 5, centre) < 0.6
