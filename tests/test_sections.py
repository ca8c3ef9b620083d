"""2-D maps: one section of a map, or an image, through fit, file, decode, validation and report."""

from __future__ import annotations

import json
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from cli_files import run
from mrc_files import mrc_bytes
from numpy.testing import assert_allclose, assert_array_equal
from phantoms import fourier_features, neural_map, siren

import nmap
from nmap.errors import OptionError
from nmap.grid import Grid
from nmap.maps import DensityMap, read_map, write_map
from nmap.spectrum import Shells, lattice_shape, worded

SOURCE = Path(__file__).parents[1] / "examples" / "emd_3488.map.gz"
RESOLUTION = 3.2


@pytest.fixture(scope="module")
def source() -> DensityMap:
    """Haemoglobin, 100^3 voxels of 1.05 A."""
    return read_map(SOURCE)


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Section z = 50 of it, by a radial basis."""
    out = tmp_path_factory.mktemp("section") / "z50.nmap"
    ran = run("encode", SOURCE, out, "--slice", "z=50", "--resolution", RESOLUTION, "--arch", "radial-basis")
    assert ran.code == 0, ran.err
    assert "worst-ring FRC" in ran.err and "fidelity FRC" in ran.out and "FSC" not in ran.out + ran.err
    return out


def rings(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Fourier ring correlation of two square images, mode by mode over the full transform."""
    fa, fb = np.fft.fft2(a.astype(np.float64)), np.fft.fft2(b.astype(np.float64))
    n = len(a)
    k = np.fft.fftfreq(n, 1 / n)
    ring = np.floor(np.hypot(k[:, None], k) + 0.5).astype(int).ravel()
    cross, pa, pb = (
        np.bincount(ring, v.ravel())[: n // 2 + 1]
        for v in ((fa * fb.conj()).real, np.abs(fa) ** 2, np.abs(fb) ** 2)
    )
    return np.asarray(cross / np.sqrt(pa * pb))


def upsampled(image: np.ndarray, n: int) -> np.ndarray:
    """An image of odd band at n x n samples, by zero padding its full transform."""
    m = len(image)
    f = np.fft.fftshift(np.fft.fft2(image.astype(np.float64)))
    pad = (n - m) // 2
    return np.fft.ifft2(np.fft.ifftshift(np.pad(f, pad))).real * (n / m) ** 2


def test_a_section_lies_where_it_lay_in_its_map(source: DensityMap) -> None:
    placed = DensityMap(source.values, Grid((100, 100, 100), (1.05,) * 3, (-10.0, 20.0, 5.0)))
    for number, axis in enumerate("xyz"):
        section = placed.section(axis, 30)
        origin = [-10.0, 20.0, 5.0]
        origin[number] += 30 * 1.05
        assert_allclose(section.grid.origin, origin)
        assert section.grid.shape == tuple(1 if a == axis else 100 for a in "zyx")
        assert_array_equal(section.values.squeeze(), np.take(source.values, 30, 2 - number))


@pytest.mark.parametrize(("axis", "index"), [("z", 100), ("z", -1), ("w", 0)])
def test_a_section_that_the_map_has_not_is_refused(source: DensityMap, axis: str, index: int) -> None:
    with pytest.raises(OptionError, match="slice"):
        source.section(axis, index)


def test_a_section_that_leans_is_refused() -> None:
    leaning = DensityMap(np.zeros((4, 5, 6)), Grid((4, 5, 6), (1.0, 1.0, 1.0), angles=(90, 100, 90)))
    assert leaning.section("y", 2).grid.angles == (90, 100, 90)
    with pytest.raises(OptionError, match="right angles"):
        leaning.section("z", 2)


def test_the_command_refuses_a_section_beyond_the_map_or_a_word_that_is_none(tmp_path: Path) -> None:
    for text, reason in (("z=100", "wanted 0 to 99"), ("50", "wanted x=N"), ("z=-1", "wanted x=N")):
        ran = run("encode", SOURCE, tmp_path / "a.nmap", "--slice", text)
        assert ran.code == 2 and reason in ran.err


def test_the_file_lies_in_place_and_every_ring_reaches_the_preset(encoded: Path, source: DensityMap) -> None:
    neural = nmap.open(encoded)
    assert neural.grid.shape == (1, 100, 100)
    assert_allclose(neural.grid.origin, (0, 0, 52.5), atol=1e-4)
    frc = rings(neural.as_array()[0], source.values[50])
    assert frc[1 : int(105 / RESOLUTION) + 1].min() >= 0.9
    found = nmap.inspect(encoded).to_json()
    assert found["fidelity"]["worst"] == pytest.approx(frc[1 : int(105 / RESOLUTION) + 1].min(), abs=2e-3)
    assert found["size_ratio"]["to_raw_mrc"] == pytest.approx((1024 + 40_000) / encoded.stat().st_size)


@pytest.mark.parametrize(("arch", "axis", "steps"), [("siren", "x", 250), ("fourier-features", "z", 500)])
def test_networks_of_layers_fit_a_section_too(source: DensityMap, arch: str, axis: str, steps: int) -> None:
    options = nmap.EncodeOptions(
        slice=(axis, 50), arch=arch, resolution=8.0, hidden_features=24, steps=steps, weight_bits=8, preset="preview"
    )  # fmt: skip
    neural = nmap.encode(source, options)
    section = source.section(axis, 50)
    assert neural.field.lattice is not None and neural.field.lattice.count(1) == 1
    frc = rings(neural.as_array().squeeze(), section.values.squeeze())
    assert frc[1:14].min() > 0.8
    # The thickness has no coordinate: the network is asked at 0 there.
    across = "zyx".index(axis)
    assert neural.field.frame.center[across] == 0


def test_a_crop_and_a_lower_sampling_of_a_section_stay_a_section(source: DensityMap) -> None:
    asked = {"crop": 80, "downsample": 2, "resolution": 8, "preset": "preview", "arch": "radial-basis"}
    options = nmap.EncodeOptions(slice=("y", 50), **asked)
    grid = nmap.encode(source, options).grid
    assert grid.shape == (40, 1, 40)
    assert_allclose(grid.origin, (10.5, 52.5, 10.5), atol=1e-4)
    assert_allclose(grid.voxel_size, (2.1, 1.05, 2.1), atol=1e-4)


def test_a_mask_of_the_whole_map_will_do_for_a_section(source: DensityMap, tmp_path: Path) -> None:
    ball = np.linalg.norm(np.indices((100, 100, 100)) - 50, axis=0) < 30
    write_map(DensityMap(ball, source.grid), tmp_path / "mask.mrc")
    masked = (
        "--arch",
        "radial-basis",
        "--mask",
        tmp_path / "mask.mrc",
        "--preset",
        "preview",
        "--resolution",
        8,
    )
    ran = run("encode", SOURCE, tmp_path / "a.nmap", "--slice", "z=50", *masked)
    assert ran.code == 0 and "mask.mrc, where it exceeds 0.5" in ran.out
    ran = run("encode", SOURCE, tmp_path / "b.nmap", "--slice", "z=15", *masked)
    assert ran.code == 2 and "nowhere above 0.5" in ran.err


def test_twice_the_sampling_is_the_same_image_upsampled(encoded: Path, tmp_path: Path) -> None:
    plain, fine = tmp_path / "plain.mrc", tmp_path / "fine.mrc"
    assert run("decode", encoded, "-o", plain).code == 0
    assert run("decode", encoded, "-o", fine, "--shape", 200).code == 0
    with mrcfile.open(plain) as mrc, mrcfile.open(fine) as twice:
        assert mrc.data.shape == (1, 100, 100) and twice.data.shape == (1, 200, 200)
        assert_allclose(twice.voxel_size.tolist(), (0.525, 0.525, 1.05), atol=1e-5)
        assert_allclose(float(twice.header.origin.z), 52.5, atol=1e-4)
        assert_allclose(twice.data[0], upsampled(mrc.data[0], 200), atol=1e-4 * np.ptp(mrc.data))
        assert_allclose(twice.data[0, ::2, ::2], mrc.data[0], atol=1e-4 * np.ptp(mrc.data))
    assert mrcfile.validate(plain)


def test_a_voxel_size_leaves_the_thickness_alone(encoded: Path, tmp_path: Path) -> None:
    assert run("decode", encoded, "-o", tmp_path / "a.mrc", "--voxel-size", 2.1).code == 0
    grid = read_map(tmp_path / "a.mrc").grid
    assert grid.shape == (1, 50, 50)
    assert_allclose(grid.voxel_size, (2.1, 2.1, 1.05), atol=1e-4)


def test_on_the_grid_of_the_whole_map_the_section_is_in_place(encoded: Path, tmp_path: Path) -> None:
    assert run("decode", encoded, "-o", tmp_path / "a.mrc", "--like", SOURCE).code == 0
    values = read_map(tmp_path / "a.mrc").values
    neural = nmap.open(encoded)
    assert_allclose(values[50], neural.as_array()[0], atol=1e-5)
    assert np.ptp(values[[49, 51]]) == 0


def test_validate_and_report_call_it_frc_and_show_one_slice(encoded: Path, tmp_path: Path) -> None:
    ran = run("validate", encoded, SOURCE, "--min-fsc", 0.9)
    assert ran.code == 0, ran.err
    assert "lowest FRC of the rings" in ran.out and "ring 1 " not in ran.err
    assert "FSC" not in ran.out and "shell" not in ran.out
    short = run("validate", encoded, SOURCE, "--min-fsc", 0.999)
    assert short.code == 1 and "lowest FRC of the rings" in short.err
    page = tmp_path / "a.html"
    ran = run("report", encoded, SOURCE, "-o", page)
    assert ran.code == 0, ran.err
    text = page.read_text()
    assert "Fidelity FRC" in text and "The image" in text and "Surface of" not in text


def test_the_ring_correlation_of_two_images_is_that_of_numpy(source: DensityMap, tmp_path: Path) -> None:
    section = source.section("z", 50)
    noise = np.random.default_rng(0).standard_normal(section.values.shape)
    noisy = DensityMap(section.values + 0.05 * noise, section.grid)
    write_map(section, tmp_path / "a.mrc")
    write_map(noisy, tmp_path / "b.mrc")
    found = json.loads(run("fsc", tmp_path / "a.mrc", tmp_path / "b.mrc", "--json").out)
    assert found["what"].startswith("FRC")
    assert_allclose(found["fsc"], rings(section.values[0], noisy.values[0]), atol=1e-4)
    out = run("fsc", tmp_path / "a.mrc", tmp_path / "b.mrc").out
    assert "lowest FRC" in out and "FSC" not in out and "shell" not in out


def test_an_image_file_is_a_map_of_one_section(source: DensityMap, tmp_path: Path) -> None:
    image = source.values[50]
    with mrcfile.new(tmp_path / "image.mrc", image) as mrc:  # 2-D data: ISPG 0, NZ 1, MZ 1
        mrc.voxel_size = 1.05
    ran = run(
        "encode",
        tmp_path / "image.mrc",
        tmp_path / "a.nmap",
        "--arch",
        "radial-basis",
        "--resolution",
        RESOLUTION,
    )
    assert ran.code == 0, ran.err
    frc = rings(nmap.open(tmp_path / "a.nmap").as_array()[0], image)
    assert frc[1 : int(105 / RESOLUTION) + 1].min() >= 0.9
    assert run("validate", tmp_path / "a.nmap", tmp_path / "image.mrc", "--min-fsc", 0.9).code == 0


def test_an_image_without_a_thickness_is_as_thick_as_its_pixels(tmp_path: Path) -> None:
    path = tmp_path / "flat.mrc"
    path.write_bytes(mrc_bytes(np.zeros((1, 5, 6), np.float32), cella=(9.0, 7.5, 0.0)))
    assert read_map(path).grid.voxel_size == (1.5, 1.5, 1.5)


def test_a_thick_section_is_sampled_by_its_own_two_axes_only() -> None:
    thick = Grid((1, 20, 20), (1.5, 1.5, 6.0))
    assert thick.nyquist == pytest.approx(1 / 3)
    assert lattice_shape(Grid((1, 20, 20), (1.5, 1.5, 1.5)), 4.0)[0] == 1
    assert Shells(thick).count == 11


@pytest.mark.parametrize("network", [siren(), fourier_features()])
def test_a_network_on_a_flat_lattice_decodes_to_itself_at_points(network: object) -> None:
    box = Grid((1, 24, 20), (1.5, 1.5, 1.5), (3.0, 4.0, 5.0))
    neural = neural_map(network, box, resolution=5.0, center=(0.0, 0.5, 0.5))  # type: ignore[arg-type]
    assert neural.field.lattice is not None and neural.field.lattice[0] == 1
    points = box.points().reshape(-1, 3)
    values = neural.as_array()
    assert_allclose(neural.sample(points), values.ravel(), atol=1e-4 * np.ptp(values))
    assert_allclose(neural.gradient(points)[:, 2], 0, atol=1e-5)


def test_words_change_but_names_and_data_do_not() -> None:
    flat, deep = Grid((1, 4, 4), (1, 1, 1)), Grid((4, 4, 4), (1, 1, 1))
    text = (
        'Fidelity FSC, worst-shell FSC, Shells: FSC.mrc shell.mrc "data:x;base64,+FSC/" my-shell.mrc shell_1'
    )
    assert worded(text, deep) == text
    assert worded(text, flat) == (
        'Fidelity FRC, worst-ring FRC, Rings: FSC.mrc shell.mrc "data:x;base64,+FSC/" my-shell.mrc shell_1'
    )
