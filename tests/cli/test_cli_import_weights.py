"""`nmap import-weights`: networks trained elsewhere decode to what their own code computes."""

from __future__ import annotations

import re
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch
from cli_files import run, write_siren
from safetensors.numpy import save_file

GRID = ("--shape", "6,5,4", "--voxel-size", "1.5")


def notebook_forward(weights: Path, omega: float, shape: tuple[int, ...]) -> np.ndarray:
    """The SIREN notebook's evaluation: linspace(-1, 1) on each axis, sin(omega * (W x + b)) in each layer."""
    arrays = np.load(weights)
    axes = [np.linspace(-1, 1, n) for n in shape]
    h = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(shape))
    names = sorted((n for n in arrays.files if n.endswith("weight")), key=lambda n: int(n.split(".")[1]))
    for name in names:
        h = h @ arrays[name].T.astype(float) + arrays[name.replace("weight", "bias")]
        if "linear" in name:
            h = np.sin(omega * h)
    return h.reshape(shape)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    write_siren(tmp_path / "w.npz", width=16, layers=2)
    return tmp_path / "w.npz"


def decoded(source: Path, folder: Path, *options: object) -> np.ndarray:
    assert run("import-weights", source, *options, "-o", folder / "a.nmap", "--overwrite").code == 0
    assert run("decode", folder / "a.nmap", "-o", folder / "a.mrc", "--overwrite").code == 0
    return np.array(mrcfile.read(folder / "a.mrc"))


def test_the_decode_is_what_the_notebook_computes(weights: Path, tmp_path: Path) -> None:
    wanted = notebook_forward(weights, 5, (4, 5, 6))
    found = decoded(weights, tmp_path, *GRID, "--omega", 5)
    np.testing.assert_allclose(found, wanted, atol=2e-6)


def test_scale_and_offset_bring_the_output_to_density(weights: Path, tmp_path: Path) -> None:
    wanted = 2 * notebook_forward(weights, 5, (4, 5, 6)) - 1
    found = decoded(weights, tmp_path, *GRID, "--omega", 5, "--scale", 2, "--offset", -1)
    np.testing.assert_allclose(found, wanted, atol=4e-6)


def test_columns_xyz_reads_the_first_layer_the_other_way_round(weights: Path, tmp_path: Path) -> None:
    wanted = notebook_forward(weights, 5, (6, 5, 4)).transpose(2, 1, 0)
    found = decoded(weights, tmp_path, *GRID, "--omega", 5, "--columns", "xyz")
    np.testing.assert_allclose(found, wanted, atol=2e-6)


def test_a_last_layer_named_linear_is_a_sine(weights: Path, tmp_path: Path) -> None:
    arrays = {name: values for name, values in np.load(weights).items()}
    sine = {re.sub(r"^net\.3\.", "net.3.linear.", name): values for name, values in arrays.items()}
    np.savez(tmp_path / "sine.npz", **sine)
    wanted = notebook_forward(tmp_path / "sine.npz", 5, (4, 5, 6))
    found = decoded(tmp_path / "sine.npz", tmp_path, *GRID, "--omega", 5)
    np.testing.assert_allclose(found, wanted, atol=2e-6)


def test_npz_safetensors_and_state_dict_give_the_same_weights(weights: Path, tmp_path: Path) -> None:
    arrays = {name: values for name, values in np.load(weights).items()}
    save_file(arrays, tmp_path / "w.safetensors")
    torch.save({f"model.{n}": torch.from_numpy(v) for n, v in arrays.items()}, tmp_path / "w.pt")
    maps = [
        decoded(tmp_path / name, tmp_path, *GRID, "--omega", 5) for name in ("w.npz", "w.safetensors", "w.pt")
    ]
    assert (maps[0] == maps[1]).all() and (maps[0] == maps[2]).all()


def test_the_grid_may_be_that_of_a_map(weights: Path, tmp_path: Path, data_dir: Path) -> None:
    source = data_dir / "EMD-3197.map"
    found = decoded(weights, tmp_path, "--grid-like", source)
    with mrcfile.open(source) as a, mrcfile.open(tmp_path / "a.mrc") as b:
        assert found.shape == a.data.shape
        np.testing.assert_allclose(b.voxel_size.item(), a.voxel_size.item())


class Trap:
    """Would run if it were unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("trap"),))  # type: ignore[return-value]


def test_a_pickled_model_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"net.0.linear.weight": Trap()}, "evil.pt")
    ran = run("import-weights", "evil.pt", *GRID, "-o", "a.nmap")
    assert ran.code == 3
    assert "numpy.savez" in ran.err and ran.err.count("\n") == 1
    assert not Path("trap").exists() and not Path("a.nmap").exists()


def test_an_npz_of_objects_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **{"net.0.linear.weight": np.array([{}], object)})
    assert run("import-weights", tmp_path / "w.npz", *GRID, "-o", tmp_path / "a.nmap").code == 3


def broken(weights: Path, **changes: object) -> dict[str, np.ndarray]:
    arrays = {name: values for name, values in np.load(weights).items()}
    for name, values in changes.items():
        key = name.replace("_", ".")
        arrays.pop(key, None)
        if values is not None:
            arrays[key] = np.asarray(values, np.float32)
    return arrays


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"net_1_linear_bias": None}, "lacks"),
        ({"net_1_linear_weight": None, "net_1_linear_bias": None}, "layers"),
        ({"net_1_linear_weight": np.zeros((16, 15))}, "wanted (16, 16)"),
        ({"net_0_linear_weight": np.zeros((16, 2))}, "wanted (16, 3)"),
        ({"net_3_bias": [np.nan]}, "finite"),
        ({"head_weight": np.zeros(3)}, "head.weight"),
    ],
)
def test_what_is_no_siren_is_refused_with_the_layer(
    changes: dict[str, object], word: str, weights: Path, tmp_path: Path
) -> None:
    np.savez(tmp_path / "broken.npz", **broken(weights, **changes))
    ran = run("import-weights", tmp_path / "broken.npz", *GRID, "-o", tmp_path / "a.nmap")
    assert ran.code == 3
    assert word in ran.err and ran.err.count("\n") == 1


@pytest.mark.parametrize(
    "options", [(), ("--shape", 8), ("--voxel-size", 2), ("--grid-like", "w.npz", "--shape", 8)]
)
def test_the_grid_must_be_given_once(
    options: tuple[object, ...], weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("import-weights", "w.npz", *options, "-o", "a.nmap").code == 2


def test_an_unknown_kind_of_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"x")
    ran = run("import-weights", tmp_path / "w.bin", *GRID, "-o", tmp_path / "a.nmap")
    assert ran.code == 3 and ".safetensors" in ran.err
