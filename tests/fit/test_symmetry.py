"""Point groups: RELION's axes, closed groups of rotations, and the fold into one asymmetric unit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nmap.errors import OptionError
from nmap.point_group import PointGroup

ORDERS = {
    "C1": 1,
    "C2": 2,
    "C4": 4,
    "C17": 17,
    "D1": 2,
    "D2": 4,
    "D7": 14,
    "T": 12,
    "O": 24,
    "I": 60,
    "I1": 60,
}

# Fold and axis as RELION lists them (SymList, symmetries.cpp), axes to its six digits or more.
RELION = {
    "C5": [(5, (0, 0, 1))],
    "D3": [(3, (0, 0, 1)), (2, (1, 0, 0))],
    "D7": [(7, (0, 0, 1)), (2, (1, 0, 0))],
    "T": [(3, (0, 0, 1)), (2, (0, 0.816496, 0.577350))],
    "O": [(3, (0.5773502, 0.5773502, 0.5773502)), (4, (0, 0, 1)), (4, (1, 0, 0)), (4, (0, 1, 0))],
    "I": [(2, (0, 0, 1)), (5, (0.525731114, 0, 0.850650807)), (3, (0, 0.356822076, 0.934172364))],
    "I2": [(2, (0, 0, 1)), (5, (0.525731114, 0, 0.850650807)), (3, (0, 0.356822076, 0.934172364))],
    "I1": [(2, (1, 0, 0)), (5, (0.8506508, 0, -0.5257311)), (3, (0.9341723, 0.3568220, 0))],
}


def contains(group: PointGroup, rotation: np.ndarray) -> bool:
    return bool((np.abs(group.operators - rotation).max((1, 2)) < 1e-5).any())


@pytest.mark.parametrize("name", ORDERS)
def test_operators_are_a_closed_group_of_proper_rotations_of_the_right_order(name: str) -> None:
    group = PointGroup(name)
    operators = group.operators
    assert operators.shape == (ORDERS[name], 3, 3) and group.order == ORDERS[name]
    np.testing.assert_array_equal(operators[0], np.eye(3))
    np.testing.assert_allclose(
        operators @ operators.transpose(0, 2, 1), np.broadcast_to(np.eye(3), operators.shape), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(operators), 1, atol=1e-12)
    apart = np.abs(operators[:, None] - operators[None]).max((2, 3)) + 9 * np.eye(len(operators))
    assert apart.min() > 0.05
    assert all(contains(group, a @ b) for a in operators for b in operators[:5])


@pytest.mark.parametrize("name", RELION)
def test_axes_are_relions(name: str) -> None:
    group = PointGroup(name)
    for fold, axis in RELION[name]:
        turn = Rotation.from_rotvec(2 * np.pi / fold * np.array(axis) / np.linalg.norm(axis)).as_matrix()
        assert contains(group, turn), (fold, axis)


@pytest.mark.parametrize("name", ["O", "C6", "D4"])
def test_operators_are_those_that_scipy_builds(name: str) -> None:
    expected = Rotation.create_group(name).as_matrix()
    group = PointGroup(name)
    assert len(expected) == group.order
    assert all(contains(group, matrix) for matrix in expected)


@pytest.mark.parametrize("name", ORDERS)
def test_all_copies_of_a_point_fold_to_the_same_place(name: str) -> None:
    group = PointGroup(name)
    points = np.random.default_rng(3).uniform(-50, 50, (200, 3))
    folded, index = group.fold(points)
    np.testing.assert_allclose(np.einsum("nij,nj->ni", group.operators[index], points), folded, atol=1e-12)
    for operator in group.operators:
        np.testing.assert_allclose(group.fold(points @ operator.T)[0], folded, atol=1e-10)


@pytest.mark.parametrize("name", ORDERS)
def test_the_unit_holds_one_nth_of_space(name: str) -> None:
    group = PointGroup(name)
    points = np.random.default_rng(4).standard_normal((20000, 3))
    share = (group.fold(points)[1] == 0).mean()
    assert share == pytest.approx(1 / ORDERS[name], rel=0.25)
    np.testing.assert_allclose(group.fold(group.reference[None])[0][0], group.reference)


@pytest.mark.parametrize("name", ["C4", "D4", "O", "T", "I", "D2"])
def test_lattice_points_about_the_centre_do_not_hang_on_rounding(name: str) -> None:
    """Of a lattice point's copies, one is nearer to the reference by much more than rounding."""
    group = PointGroup(name)
    k = np.arange(-8, 9)
    points = np.stack(np.meshgrid(k, k, k, indexing="ij"), -1).reshape(-1, 3).astype(float)
    copies = np.einsum("rij,nj->nri", group.operators, points)
    height = copies @ group.reference
    best = height.argmax(1)
    rest = np.where(
        np.linalg.norm(copies - copies[np.arange(len(points)), best][:, None], axis=2) > 1e-6, height, -np.inf
    )
    assert (height.max(1) - rest.max(1)).min() > 1e-6


@pytest.mark.parametrize(
    ("name", "meant"), [("c4", "C4"), ("I2", "I"), ("d7", "D7"), ("i1", "I1"), ("o", "O")]
)
def test_names_have_one_spelling(name: str, meant: str) -> None:
    assert PointGroup(name).name == meant
    assert PointGroup(name) == PointGroup(meant)


@pytest.mark.parametrize("name", ["", "C0", "C", "D100", "X3", "Td", "I3", "C-4", "C4 "])
def test_other_names_are_refused_with_those_that_exist(name: str) -> None:
    with pytest.raises(OptionError, match="C1 to C99, D1 to D99, T, O, I or I1"):
        PointGroup(name)


def test_a_centre_must_be_finite() -> None:
    with pytest.raises(OptionError, match="centre"):
        PointGroup("C4", (0.0, float("nan"), 0.0))
