"""The same fit on every device: on the CPU, and on a GPU where there is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from phantoms import gaussian_atoms, turned

from nmap.fit.bumps.spreading import Spreading
from nmap.fit.dense.shell_error import ShellError
from nmap.fit.device import Recorded
from nmap.fit.encode import encode
from nmap.fit.options import EncodeOptions
from nmap.fit.target.prepare import prepare
from nmap.grid import Grid
from nmap.maps import DensityMap
from nmap.model.radial_basis import centres_spectrum
from nmap.point_group import PointGroup
from nmap.spectrum import Shells, fsc, invert

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
GRID = Grid((32, 32, 32), (2.0,) * 3)
RESOLUTION = 8.0


@pytest.fixture(scope="module")
def phantom() -> DensityMap:
    """Gaussian atoms, seven-fold about z through voxel 16."""
    rng = np.random.default_rng(4)
    group = PointGroup("C7", (32.0, 32.0, 32.0))
    places = rng.uniform(-10, 10, (5, 3)) + np.array([8.0, 0.0, 0.0])
    return DensityMap(gaussian_atoms(GRID, turned(places, group.operators, group.center), 2.5), GRID)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["C7", "T", "I"])
def test_copies_between_lattice_points_add_up_as_a_decoder_adds_them(device, name):
    grid = Grid((48, 40, 44), (1.1, 1.0, 1.2))
    group = PointGroup(name, (26.0, 20.0, 26.0))
    rng = np.random.default_rng(1)
    sites = rng.integers(12, 28, (60, 3))
    weights = rng.integers(-2, 3, 60).astype(np.float32)
    spreading = Spreading(grid.shape, grid, group, torch.device(device))
    there = torch.from_numpy(sites).to(device)
    within = Shells(grid).spread(np.ones(Shells(grid).last(4.0) + 1, np.float32))
    wanted = centres_spectrum(sites, weights, grid.shape, grid, group) * within
    got = spreading.spectrum(there, torch.from_numpy(weights).to(device)).cpu().numpy() * within
    assert np.abs(got - wanted).max() < 1e-5 * np.abs(wanted).max()
    # The mean over a site's copies is the adjoint of the sum: <S w, F> = order * w . (mean of F).
    field = torch.from_numpy(wanted.astype(np.complex64)).to(device)
    mean = spreading.mean(field, there).cpu().numpy()
    power = float(Shells(grid).sum(np.abs(wanted) ** 2).sum())
    assert group.order * float(weights @ mean) == pytest.approx(power, rel=1e-4)


@pytest.mark.parametrize("device", DEVICES)
def test_the_fsc_in_training_is_that_of_the_maps(phantom, device):
    target = prepare(phantom, EncodeOptions(resolution=RESOLUTION, arch="siren"))
    error = ShellError(target, torch.device(device))
    u = np.random.default_rng(0).standard_normal(target.inside.size).astype(np.float32)
    ones = np.ones(target.last + 1)
    wanted, curve = error(torch.from_numpy(u).to(device), ones)
    volume = target.on_lattice(u)
    source = invert(target.reference, target.lattice.shape)
    outside = fsc(volume, source, target.lattice)
    np.testing.assert_allclose(curve[1:], outside.fsc[1 : target.last + 1], atol=1e-5)
    assert error.worst(curve) == pytest.approx(outside.fsc[1 : target.last + 1].min(), abs=1e-5)
    # Values that already have every shell of the target are wanted as they are.
    full = invert(target.whitened, target.lattice.shape).reshape(-1)[target.inside]
    mask = target.mask.reshape(-1)[target.inside]
    sure = mask > 0.5
    met = torch.from_numpy(np.where(sure, full / np.maximum(mask, 0.5), 0).astype(np.float32)).to(device)
    near = error(met, ones)[0].cpu().numpy()
    apart = np.abs(near - full)[sure].mean() / np.abs(full[sure]).mean()
    assert apart < np.abs(wanted.cpu().numpy() - full)[sure].mean() / np.abs(full[sure]).mean()


@pytest.mark.parametrize("device", DEVICES)
def test_work_that_is_recorded_goes_on_with_what_its_tensors_hold(device):
    x, total = torch.ones(4, device=device), torch.zeros(4, device=device)

    def work() -> torch.Tensor:
        total.add_(x)
        return total.sum()

    recorded = Recorded(work, torch.device(device), 2)
    seen = []
    for value in (1.0, 2.0, 3.0, 4.0, 5.0):
        x.fill_(value)
        seen.append(float(recorded()))
    assert seen == [4.0, 12.0, 24.0, 40.0, 60.0]


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="the CPU's turn is in test_fit_dense.py; no GPU here"
)
def test_a_siren_learns_the_map_on_a_gpu(phantom):
    made = encode(
        phantom,
        EncodeOptions(
            resolution=RESOLUTION,
            arch="siren",
            hidden_features=48,
            hidden_layers=2,
            steps=400,
            weight_bits=6,
            device="cuda",
        ),
    )
    assert float(fsc(made.as_array(), phantom.values, GRID).worst(RESOLUTION)) > 0.8
    assert made.record["fit"]["device"].startswith("cuda")


@pytest.mark.parametrize("device", DEVICES)
def test_a_seven_fold_map_reaches_its_goal_on_each_device(phantom, device):
    made = encode(
        phantom,
        EncodeOptions(
            resolution=RESOLUTION, symmetry="C7", force_symmetry=True, preset="preview", device=device
        ),
    )
    assert float(fsc(made.as_array(), phantom.values, GRID).worst(RESOLUTION)) > 0.5
    assert made.field.symmetry is not None
