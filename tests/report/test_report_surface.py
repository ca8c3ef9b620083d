"""The isosurface drawing, on shapes whose picture is known, and local error."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.spatial
import skimage.measure

from nmap.grid import Grid
from nmap.report import isosurface
from nmap.report.isosurface import BACKGROUND, contour_level, look_at, render
from nmap.report.slices import _local

GRID = Grid((40, 40, 40), (1.5, 1.5, 1.5), (7.0, -3.0, 11.0))


def ball(radius, centre=(30.0, 30.0, 30.0), grid=GRID):
    points = grid.points() - np.asarray(grid.origin)
    return (1 + radius - np.linalg.norm(points - np.asarray(centre), axis=-1)).astype(np.float32)


def drawn_radius(values, grid, **turn) -> float:
    """Radius (Angstrom) of a disc as large as the part of the picture that is drawn on."""
    view = look_at(values, grid, 1.0, **turn)
    image = render(values, grid, 1.0, view, 200)
    area = np.count_nonzero(image != BACKGROUND) * (2 * view.radius / 200) ** 2
    return float(np.sqrt(area / np.pi))


@pytest.mark.parametrize("turn", [0.0, 35.0, 90.0])
def test_a_ball_is_a_disc_of_its_radius_from_every_side(turn):
    assert drawn_radius(ball(15.0), GRID, turn=turn) == pytest.approx(15.0, abs=0.4)


def test_a_ball_is_brightest_towards_the_light_on_the_upper_left():
    values = ball(15.0)
    image = render(values, GRID, 1.0, look_at(values, GRID, 1.0), 200)
    row, column = np.unravel_index(np.argmax(np.where(image == BACKGROUND, 0, image)), image.shape)
    assert row < 95 and column < 95


def test_what_lies_nearer_hides_what_lies_behind():
    small, large = ball(6.0, (30, 30, 45)), ball(12.0, (30, 30, 18))
    both = np.maximum(small, large)
    front, back = look_at(both, GRID, 1.0, 0.0, 0.0), look_at(both, GRID, 1.0, 180.0, 0.0)
    assert front.axes[2][2] < -0.99  # the eye stands high up on z, as in other viewers, x right and y up

    def middle(values, view):
        return render(values, GRID, 1.0, view, 200)[95:105, 95:105]

    assert np.abs(middle(both, front) - middle(small, front)).max() < 0.12
    assert np.abs(middle(both, front) - middle(large, front)).max() > 0.12
    assert np.abs(middle(both, back) - middle(large, back)).max() < 0.02


def test_an_anisotropic_box_is_drawn_in_angstrom():
    grid = Grid((20, 30, 60), (1.0, 2.0, 3.0))
    assert drawn_radius(ball(12.0, (30.0, 30.0, 30.0), grid), grid) == pytest.approx(12.0, abs=0.5)


@pytest.mark.parametrize("finest", [320, 20])
def test_slab_by_slab_a_surface_is_the_whole_one_of_scikit_image(finest, monkeypatch):
    monkeypatch.setattr(isosurface, "SLAB", 1)
    monkeypatch.setattr(isosurface, "FINEST", finest)
    grid = Grid((41, 37, 33), (1.0, 1.0, 1.0))
    points = grid.points()
    values = np.sin(points[..., 0] / 3) * np.cos(points[..., 1] / 4) + np.sin(points[..., 2] / 2.5)
    values = values.astype(np.float32)
    padded = np.pad(values, 1, constant_values=values.min())
    corners, triangles, normals, _ = skimage.measure.marching_cubes(padded, 0.3, step_size=41 // finest or 1)
    wanted = np.hstack((corners[triangles].reshape(-1, 9), normals[triangles].reshape(-1, 9)))
    meshes = list(isosurface._surfaces(values, grid, 0.3))
    assert len(meshes) > 10
    found = np.vstack(
        [
            np.hstack([part[m.triangles][..., ::-1].reshape(-1, 9) for part in (m.points + 1, m.normals)])
            for m in meshes
        ]
    )
    assert found.shape == wanted.shape
    distance, nearest = scipy.spatial.cKDTree(found[:, :9]).query(wanted[:, :9])
    assert distance.max() < 1e-4 and np.unique(nearest).size == len(wanted)
    np.testing.assert_allclose(found[nearest, 9:], wanted[:, 9:], atol=1e-3)


def test_a_level_that_nothing_reaches_draws_an_empty_picture():
    values = ball(15.0)
    image = render(values, GRID, 100.0, look_at(values, GRID, 100.0), 60)
    assert np.all(image == BACKGROUND)


def test_the_level_leaves_the_asked_share_above_it():
    values = np.random.default_rng(0).standard_normal((60, 60, 60)).astype(np.float32)
    assert np.mean(values > contour_level(values)) == pytest.approx(0.007, rel=0.05)
    assert np.mean(values > contour_level(values, 0.06)) == pytest.approx(0.01, rel=0.05)


def test_local_error_finds_where_the_decode_is_wrong():
    rng = np.random.default_rng(0)
    source = rng.standard_normal((40, 40, 40)).astype(np.float32)
    decoded = source.copy()
    decoded[:, :, :20] = rng.standard_normal((40, 40, 20))
    for plane in ("xy", "xz"):
        correlation, error, contrast = _local(decoded, source, GRID, plane, 4.0)
        assert correlation[:, 30:].min() > 0.99 and abs(correlation[:, 5:12].mean()) < 0.1
        assert error[:, 30:].max() < 0.1 and error[:, 5:12].mean() == pytest.approx(np.sqrt(2), rel=0.1)
        assert contrast.mean() == pytest.approx(1, rel=0.1)
