"""SIRENs under the key names of the programs that people train them with, and files that are damaged or odd."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from nmap.errors import FormatError, LimitError, NmapError
from nmap.grid import Grid
from nmap.import_siren.import_siren import import_weights

GRID = Grid((20, 22, 24), (2.0, 2.0, 2.0))


@pytest.fixture(scope="session")
def faults(data_dir: Path) -> Path:
    return data_dir / "faults" / "weights"


@pytest.fixture(scope="session")
def truth(faults: Path) -> np.ndarray:
    """What the network gives on a linspace(-1, 1) mesh, by torch in float64."""
    return np.asarray(np.load(faults / "siren_truth.npy"))


@pytest.fixture(scope="session")
def plain(faults: Path) -> dict[str, torch.Tensor]:
    """The same network as a plain Sequential: 0, 2, 4, 6."""
    loaded = torch.load(faults / "w_seq.pt", weights_only=True)
    assert isinstance(loaded, dict)
    return loaded


@pytest.mark.parametrize("name", ["w_vs.pth", "w_lucid.pt", "w_seq.pt"])
def test_one_network_reads_the_same_under_each_programs_names(
    faults: Path, truth: np.ndarray, name: str
) -> None:
    np.testing.assert_allclose(import_weights(faults / name, GRID).as_array(), truth, atol=1e-6)


def test_bfloat16_reads_to_its_own_precision(faults: Path, truth: np.ndarray) -> None:
    found = import_weights(faults / "w_bf.safetensors", GRID).as_array()
    assert np.abs(found - truth).max() < 0.03 * np.ptp(truth)
    assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.999


def renamed(plain: dict[str, torch.Tensor], names: tuple[str, ...]) -> dict[str, torch.Tensor]:
    order = ("0", "2", "4", "6")
    return {
        f"{new}.{kind}": plain[f"{old}.{kind}"]
        for old, new in zip(order, names, strict=True)
        for kind in ("weight", "bias")
    }


LAYOUTS = {
    "repository": ("net.net.0.0", "net.net.1.0", "net.net.2.0", "net.net.3.0"),
    "compiled repository": tuple(f"_orig_mod.net.net.{n}.0" for n in range(4)),
    "siren-pytorch": ("net.layers.0", "net.layers.1", "net.layers.2", "net.last_layer"),
    "notebook": ("net.0.linear", "net.1.linear", "net.2.linear", "net.3"),
    "compiled": ("_orig_mod.net.0.linear", "_orig_mod.net.1.linear", "_orig_mod.net.2.linear", "_orig_mod.net.3"),
    "parallel": ("module.net.0", "module.net.1", "module.net.2", "module.net.3"),
    "both": ("module._orig_mod.0", "module._orig_mod.1", "module._orig_mod.2", "module._orig_mod.3"),
    "seq": ("seq.0.linear", "seq.1.linear", "seq.2.linear", "seq.3"),
    "final": ("layers.0", "layers.1", "layers.2", "final_layer"),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".npz"])
def test_names_and_wrappers_change_nothing(
    tmp_path: Path, plain: dict[str, torch.Tensor], truth: np.ndarray, layout: str, suffix: str
) -> None:
    path, tensors = tmp_path / f"w{suffix}", renamed(plain, LAYOUTS[layout])
    if suffix == ".pt":
        torch.save(tensors, path)
    elif suffix == ".npz":
        np.savez(path, **{key: value.numpy() for key, value in tensors.items()})
    else:
        save_file(tensors, path)
    np.testing.assert_allclose(import_weights(path, GRID).as_array(), truth, atol=1e-6)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "net", "my_siren"])
def test_a_checkpoint_gives_its_state_dict_and_its_omega(
    tmp_path: Path, plain: dict[str, torch.Tensor], truth: np.ndarray, key: str
) -> None:
    state = {"state": {0: {"exp_avg": torch.zeros(3, 3)}}, "param_groups": [{"lr": 1e-4}]}
    torch.save({"epoch": 7, key: plain, "optimizer": state, "hparams": {"omega": 30.0}}, tmp_path / "c.pt")
    made = import_weights(tmp_path / "c.pt", GRID)
    assert made.field.network.settings()["omegas"] == [30.0] * 3
    np.testing.assert_allclose(made.as_array(), truth, atol=1e-6)


def test_omegas_in_buffers_are_found_and_given_ones_go_before_them(
    tmp_path: Path, plain: dict[str, torch.Tensor]
) -> None:
    tensors = renamed(plain, LAYOUTS["notebook"])
    tensors |= {"net.0.omega_0": torch.tensor(12.0), "net.1.omega_0": torch.tensor(5.0)}
    torch.save(tensors, tmp_path / "w.pt")
    found = import_weights(tmp_path / "w.pt", GRID).field.network.settings()["omegas"]
    assert found == [12.0, 5.0, 5.0]
    given = import_weights(tmp_path / "w.pt", GRID, omega=20.0, omega_hidden=3.0)
    assert given.field.network.settings()["omegas"] == [20.0, 3.0, 3.0]


def test_layers_without_biases_have_none(tmp_path: Path, plain: dict[str, torch.Tensor]) -> None:
    bare = {key: value for key, value in plain.items() if key.endswith("weight")}
    zeros = {key: value if key in bare else torch.zeros_like(value) for key, value in plain.items()}
    torch.save(bare, tmp_path / "bare.pt")
    torch.save(zeros, tmp_path / "zeros.pt")
    one, other = (import_weights(tmp_path / name, GRID).as_array() for name in ("bare.pt", "zeros.pt"))
    np.testing.assert_array_equal(one, other)


def test_a_network_of_two_coordinates_is_an_image(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    sizes = [(8, 2), (8, 8), (1, 8)]
    arrays = {f"{2 * n}.weight": draw.uniform(-1, 1, size) / 4 for n, size in enumerate(sizes)}
    arrays |= {f"{2 * n}.bias": draw.uniform(-1, 1, size[0]) for n, size in enumerate(sizes)}
    np.savez(tmp_path / "w.npz", **arrays)
    y, x = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 11), indexing="ij")
    h = np.stack([y, x], -1)
    for n in (0, 2):
        h = np.sin(10 * (h @ arrays[f"{n}.weight"].T + arrays[f"{n}.bias"]))
    expected = (h @ arrays["4.weight"].T + arrays["4.bias"])[..., 0]
    found = import_weights(tmp_path / "w.npz", Grid((1, 9, 11), (1.0, 1.0, 1.0)), omega=10).as_array()
    np.testing.assert_allclose(found[0], expected, atol=1e-5)
    with pytest.raises(FormatError, match="one section"):
        import_weights(tmp_path / "w.npz", GRID, omega=10)


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("expand.pt", LimitError, "unpacks to 2684354564 bytes"),
        ("meta.pt", FormatError, "without values"),
        ("sparse.pt", FormatError, "sparse"),
        ("nested.pt", FormatError, "nested"),
        ("dot.pt", FormatError, "no plain state dict"),
        ("enc.npz", FormatError, "encrypted"),
        ("deep3.npz", FormatError, "nested too deeply"),
        ("unary.npz", FormatError, "nested too deeply"),
        ("f8.safetensors", FormatError, "F8_E4M3"),
    ],
)
def test_damaged_and_odd_files_are_one_line_that_says_why(
    faults: Path, name: str, kind: type[NmapError], reason: str
) -> None:
    with pytest.raises(kind, match=reason) as raised:
        import_weights(faults / name, GRID)
    assert str(raised.value).startswith(f"{faults / name}: ") and "\n" not in str(raised.value)


def test_a_small_tensor_that_repeats_its_values_is_refused_too(
    tmp_path: Path, plain: dict[str, torch.Tensor]
) -> None:
    torch.save({**plain, "0.bias": torch.zeros(1).expand(16)}, tmp_path / "w.pt")
    with pytest.raises(FormatError, match=r"'0\.bias' of shape \(16,\) repeats values"):
        import_weights(tmp_path / "w.pt", GRID)


def test_two_state_dicts_that_nothing_tells_apart_are_refused(
    tmp_path: Path, plain: dict[str, torch.Tensor]
) -> None:
    torch.save({"teacher": plain, "student": plain}, tmp_path / "w.pt")
    with pytest.raises(FormatError, match="2 state dicts"):
        import_weights(tmp_path / "w.pt", GRID)


def test_a_network_deeper_than_a_file_may_hold_is_never_written(faults: Path, tmp_path: Path) -> None:
    from nmap.container import save

    (tmp_path / "deep.npz").write_bytes(gzip.decompress((faults / "deepnet.npz.gz").read_bytes()))
    made = import_weights(tmp_path / "deep.npz", GRID)
    with pytest.raises(FormatError):
        save(made, tmp_path / "deep.nmap")
    assert not (tmp_path / "deep.nmap").exists()
