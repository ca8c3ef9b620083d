"""A series of maps through fit, file, decode, validation and report: a molecule of atoms that move."""

from __future__ import annotations

import json
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from cli_files import run
from numpy.testing import assert_allclose
from phantoms import gaussian_atoms, turned

import nmap
from nmap.container import decode_bytes, encode_bytes
from nmap.errors import GridError, OptionError
from nmap.fit.encode_series import encode_series
from nmap.grid import Grid
from nmap.maps import DensityMap, write_map
from nmap.neural_map import NeuralMap
from nmap.point_group import PointGroup
from nmap.spectrum import fsc

GRID = Grid((24, 24, 24), (2.0,) * 3)
RESOLUTION, SPREAD, FRAMES = 8.0, 2.2, 5
CENTRE = (24.0, 24.0, 24.0)


def frame(t: float, group: str = "C1", grid: Grid = GRID) -> DensityMap:
    """Atoms of which a half turns by 30 degrees about y from t = 0 to t = 1, and their copies."""
    rng = np.random.default_rng(3)
    places = rng.normal(size=(24, 3)) * 4.5
    moving = places[:, 2] > 0
    a = np.radians(30 * t)
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    places[moving] = places[moving] @ turn.T
    centred = turned(places, PointGroup(group).operators, CENTRE)
    return DensityMap(gaussian_atoms(grid, centred, SPREAD), grid)


def options(**changes: object) -> nmap.EncodeOptions:
    given = {"arch": "siren", "resolution": RESOLUTION, "preset": "preview", "symmetry": "C1", **changes}
    return nmap.EncodeOptions(**given)  # type: ignore[arg-type]


def worst(decoded: NeuralMap, truth: DensityMap) -> float:
    return float(fsc(decoded.as_array(), truth.values, GRID).worst(RESOLUTION))


@pytest.fixture(scope="module")
def frames() -> list[DensityMap]:
    return [frame(k / (FRAMES - 1)) for k in range(FRAMES)]


@pytest.fixture(scope="module")
def series(frames: list[DensityMap]) -> NeuralMap:
    return encode_series(frames, options())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, frames: list[DensityMap], series: NeuralMap) -> Path:
    """The frames, and the series as a file."""
    folder = tmp_path_factory.mktemp("series")
    for number, density in enumerate(frames):
        write_map(density, folder / f"frame_{number}.mrc")
    nmap.save(series, folder / "series.nmap")
    return folder


def test_every_frame_is_held_about_as_the_record_says(series: NeuralMap, frames: list[DensityMap]) -> None:
    by_frame = series.record["fidelity"]["frame_worst"]
    found = [worst(series.at(k / (FRAMES - 1)), truth) for k, truth in enumerate(frames)]
    assert_allclose(found, by_frame, atol=0.02)
    assert min(found) > 0.8


def test_between_frames_it_is_nearer_to_the_truth_than_the_mean_of_its_neighbours() -> None:
    # Two halves that move apart, 1.5 A a frame; frame 2 of 5 is left out.
    def apart(k: float) -> DensityMap:
        places = np.random.default_rng(3).normal(size=(24, 3)) * 4.5
        places[places[:, 2] > 0] += [1.5 * k, 0, 0]
        return DensityMap(gaussian_atoms(GRID, places + np.array(CENTRE) - [3, 0, 0], SPREAD), GRID)

    kept = [0.0, 1.0, 3.0, 4.0]
    series = encode_series([apart(k) for k in kept], options(preset="faithful"), at=kept)
    truth, between = apart(2.0).values, (apart(1.0).values + apart(3.0).values) / 2
    fine = slice(5, 7)
    ours, linear = (fsc(v, truth, GRID).fsc for v in (series.at(2.0).as_array(), between))
    assert (ours[fine] > linear[fine]).all()
    assert ours[1:7].min() > 0.99
    assert series.axis is not None and series.axis.frame(2.0) is None


def test_a_file_is_the_same_series_and_says_what_it_needs(series: NeuralMap) -> None:
    data = encode_bytes(series)
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["nmap"])
    assert metadata["must_understand"] == ["series"]
    again = decode_bytes(data)
    assert again.axis == series.axis
    assert_allclose(again.at(0.3).as_array(), series.at(0.3).as_array())


def test_a_map_of_a_series_can_be_stored_alone(series: NeuralMap) -> None:
    alone = decode_bytes(encode_bytes(series.at(0.3)))
    assert alone.axis is None
    assert_allclose(alone.as_array(), series.at(0.3).as_array(), atol=1e-5)


@pytest.mark.parametrize("t", [0.0, 0.37, 1.0])
def test_the_rate_is_the_derivative_by_the_position(series: NeuralMap, t: float) -> None:
    step = 1e-3
    low, high = max(t - step, 0.0), min(t + step, 1.0)
    change = (series.at(high).as_array() - series.at(low).as_array()) / (high - low)
    rate = series.rate(t).as_array()
    assert np.abs(change - rate).max() < 0.02 * np.abs(rate).max()
    points = GRID.points().reshape(-1, 3)[::997]
    assert_allclose(series.rate(t).sample(points), rate.reshape(-1)[::997], atol=1e-3 * np.abs(rate).max())


def test_a_series_is_not_a_map(series: NeuralMap) -> None:
    with pytest.raises(OptionError, match="5 maps, t from 0 to 1: choose a position"):
        series.as_array()
    with pytest.raises(OptionError, match="says nothing beyond"):
        series.at(1.1)
    with pytest.raises(OptionError, match="one map, not a series"):
        series.at(0.5).at(0.5)


def test_a_cycle_goes_on_where_it_began() -> None:
    frames = [frame(np.sin(2 * np.pi * k / 6) / 2) for k in range(6)]
    series = encode_series(frames, options(), periodic=True)
    assert_allclose(series.at(1.25).as_array(), series.at(0.25).as_array(), atol=1e-4)
    assert worst(series.at(1.0), frames[0]) > 0.8


def test_a_series_has_the_symmetry_of_its_frames() -> None:
    series = encode_series([frame(t, "C2") for t in (0.0, 0.5, 1.0)], options(symmetry="auto"))
    assert series.field.symmetry is not None and series.field.symmetry.name == "C2"
    decoded = series.at(0.25).as_array()
    # Half a turn about z through voxel 12: x and y go to the other side.
    turned_back = np.roll(decoded[:, ::-1, ::-1], (1, 1), (1, 2))
    assert np.corrcoef(decoded.ravel(), turned_back.ravel())[0, 1] > 0.98


def test_a_section_that_moves() -> None:
    grid = Grid((1, 32, 32), (1.5,) * 3)
    maps = []
    for t in (0.0, 0.5, 1.0):
        places = np.random.default_rng(2).uniform(14, 34, (14, 3)) + np.array([3.0 * t, 0, 0])
        places[:, 2] = 0
        maps.append(DensityMap(gaussian_atoms(grid, places, 1.8), grid))
    series = encode_series(maps, options(resolution=6.0))
    decoded = series.at(0.5).as_array()
    assert decoded.shape == (1, 32, 32)
    assert np.corrcoef(decoded.ravel(), maps[1].values.ravel())[0, 1] > 0.9


def test_the_same_maps_give_the_same_bytes(frames: list[DensityMap]) -> None:
    quick = options(steps=16)
    first, again = (encode_bytes(encode_series(frames[:2], quick)) for _ in range(2))
    assert first == again


def test_more_frames_than_a_tensor_has_matrices_for_are_stored() -> None:
    series = encode_series([frame(k / 35) for k in range(36)], options(steps=8))
    again = decode_bytes(encode_bytes(series))
    assert again.axis is not None and len(again.axis.at) == 36
    assert_allclose(again.at(0.5).as_array(), series.at(0.5).as_array())


def test_what_is_no_series_is_refused(frames: list[DensityMap]) -> None:
    other = DensityMap(frames[0].values, Grid(GRID.shape, (2.5,) * 3))
    with pytest.raises(GridError, match="frame 2"):
        encode_series([frames[0], other], options())
    with pytest.raises(OptionError, match="2 positions for 3 frames"):
        encode_series(frames[:3], options(), at=[0, 1])
    with pytest.raises(OptionError, match="above the one before"):
        encode_series(frames[:2], options(), at=[1, 0])
    with pytest.raises(OptionError, match="holds one map"):
        encode_series(frames[:2], options(arch="fourier-features"))
    with pytest.raises(OptionError, match="`contour` with a series"):
        encode_series(frames[:2], options(contour=1.0))
    with pytest.raises(OptionError, match="holds a series of maps"):
        nmap.encode(frames[0], options(arch="series-siren"))


def test_the_command_line_encodes_files_and_a_stack(tmp_path: Path, files: Path) -> None:
    sources = sorted(files.glob("frame_*.mrc"))[:3]
    given = ("--resolution", RESOLUTION, "--symmetry", "C1", "--steps", 16, "--no-hdf5")
    run("encode", *sources, tmp_path / "a.nmap", "--at", "0,0.1,0.35", "--axis", "angle", *given)
    found = nmap.inspect(tmp_path / "a.nmap")
    assert found.axis is not None and found.axis.at == (0.0, 0.1, 0.35) and found.axis.name == "angle"
    with mrcfile.new(tmp_path / "stack.mrc") as file:
        file.set_data(np.stack([frame(t).values for t in (0.0, 0.5, 1.0)]))
        file.voxel_size = 2.0
    run("encode", tmp_path / "stack.mrc", "-o", tmp_path / "b.nmap", "--periodic-t", *given)
    again = nmap.inspect(tmp_path / "b.nmap")
    assert again.axis is not None and len(again.axis.at) == 3 and again.axis.period == pytest.approx(1.0)


def test_the_command_line_says_what_is_wrong(tmp_path: Path, files: Path) -> None:
    first, second = sorted(files.glob("frame_*.mrc"))[:2]
    ran = run("encode", first, tmp_path / "x.nmap", "--at", "0,1")
    assert ran.code != 0 and "only a series can" in ran.err
    assert run("encode", first).code == 2
    ran = run("encode", first, second)
    assert ran.code != 0 and "swapped" in ran.err
    ran = run("decode", files / "series.nmap", tmp_path / "x.mrc")
    assert ran.code != 0 and "--at or --frames" in ran.err
    ran = run("decode", files / "series.nmap", tmp_path / "x.mrc", "--at", 3)
    assert ran.code != 0 and "from 0 to 1" in ran.err
    ran = run("validate", files / "series.nmap", first, second)
    assert ran.code != 0 and "holds 5 frames, 2 maps were given" in ran.err
    assert not list(tmp_path.iterdir())


def test_decode_writes_one_map_files_and_a_stack(tmp_path: Path, files: Path, series: NeuralMap) -> None:
    file = files / "series.nmap"
    assert run("decode", file, "--at", 0.4, "-o", tmp_path / "one.mrc").code == 0
    assert_allclose(mrcfile.read(tmp_path / "one.mrc"), series.at(0.4).as_array(), atol=1e-5)
    assert run("decode", file, "--frames", "0:1:3", "-o", tmp_path / "movie_%03d.mrc").code == 0
    assert run("decode", file, "--frames", "0:1:3", "-o", tmp_path / "stack.mrc").code == 0
    stack = mrcfile.read(tmp_path / "stack.mrc")
    assert stack.shape == (3, *GRID.shape)
    assert_allclose(mrcfile.read(tmp_path / "movie_001.mrc"), stack[1])
    ran = run("decode", file, "--frames", "0:1:3", "-o", tmp_path / "movie_%03d.mrc")
    assert ran.code != 0 and "movie_000.mrc: exists already" in ran.err


def test_inspect_tells_measured_from_interpolated(files: Path) -> None:
    said = run("inspect", files / "series.nmap").out
    assert "5 frames, t from 0 to 1" in said
    assert "measured at t = 0, 0.25, 0.5, 0.75, 1; interpolated between" in said
    told = json.loads(run("inspect", files / "series.nmap", "--json").out)
    assert told["series"]["measured_at"] == [0, 0.25, 0.5, 0.75, 1]


def test_validate_gives_every_frame_the_worst_and_the_mean(files: Path, series: NeuralMap) -> None:
    sources = sorted(files.glob("frame_*.mrc"))
    told = json.loads(run("validate", files / "series.nmap", *sources, "--json").out)
    by_frame = [entry["findings"]["measures"]["fsc"] for entry in told["frames"]]
    assert told["worst"]["fsc"] == pytest.approx(min(by_frame))
    assert told["mean"]["fsc"] == pytest.approx(np.mean(by_frame))
    ran = run("validate", files / "series.nmap", *sources, "--min-fsc", 0.9999)
    assert ran.code == 1 and "t = 0.25 falls short" in ran.err


def test_validate_says_what_each_number_is_and_what_was_wanted(files: Path) -> None:
    sources = sorted(files.glob("frame_*.mrc"))
    said = run("validate", files / "series.nmap", *sources, "--min-fsc", 0.5).out
    assert "invented_between" not in said and "drift" not in said
    assert "lowest FSC of the shells to 8 A, over the whole box: worst 0." in said
    assert "holds, wanted at least 0.5" in said
    assert "share of the decode's power beyond the band limit of 8 A: worst" in said
    assert (
        "displacement of the decode at twice the sampling" in said
        and "voxels; holds, wanted at most 0.001 voxels" in said
    )


def test_validate_notices_sources_in_another_order(files: Path) -> None:
    sources = sorted(files.glob("frame_*.mrc"))
    ran = run("validate", files / "series.nmap", *sources[::-1])
    assert ran.code == 1 and "in reverse order, the last one first" in ran.err
    swapped = [sources[i] for i in (0, 3, 2, 1, 4)]
    ran = run("validate", files / "series.nmap", *swapped, "--json")
    told = json.loads(ran.out)
    assert ran.code == 1 and told["holds"] is False
    assert [(m["frame"], m["fits"]) for m in told["misplaced"]] == [(1, 3), (3, 1)]
    assert "t = 0.25 fits source 4, frame_1.mrc, better than source 2, frame_3.mrc" in ran.err
    # Outside truth: the decodes and sources correlate so.
    decoded = nmap.open(files / "series.nmap").at(0.25).as_array().ravel()
    near, far = (np.corrcoef(decoded, mrcfile.read(sources[i]).ravel())[0, 1] for i in (1, 3))
    assert near > far + 0.01
    told = json.loads(run("validate", files / "series.nmap", *sources, "--json").out)
    assert told["misplaced"] == []


def test_only_options_that_were_given_are_named(tmp_path: Path, files: Path) -> None:
    sources, out = sorted(files.glob("frame_*.mrc")), tmp_path / "x.nmap"
    half = ("--half1", sources[0], "--half2", sources[1])
    for given, named, others in (
        (("--max-bytes", "8K"), "--max-bytes", ("ratio", "contour", "half", "arch")),
        (("--contour", 1), "--contour", ("max-bytes", "half", "arch")),
        (("--checkpoint", tmp_path / "c"), "--checkpoint", ("contour", "half", "arch")),
        (half, "--half1 and --half2", ("contour", "arch")),
    ):
        ran = run("encode", *sources[:2], out, *given)
        assert ran.code == 2 and f"{named} with a series" in ran.err, ran.err
        assert not any(other in ran.err for other in others) and ran.err.count("\n") == 1
    ran = run("encode", sources[0], out, "--axis", "angle")
    assert ran.code == 2 and "--axis with one map" in ran.err and "--periodic-t" not in ran.err
    ran = run("validate", files / "series.nmap", *sources, "--star", tmp_path / "x.star")
    assert ran.code == 2 and "--star with a series" in ran.err and "xml" not in ran.err
    ran = run("report", files / "series.nmap", *sources, "-o", tmp_path / "x.html", "--model", sources[0])
    assert ran.code == 2 and "--model with a series" in ran.err and "half" not in ran.err
    ran = run("encode", *sources[:2], out, "--axis", "two\nlines")
    assert ran.code == 2 and "wanted its name" in ran.err
    assert not list(tmp_path.glob("x.*"))


def test_the_name_of_several_files_has_one_place_for_a_number(tmp_path: Path, files: Path) -> None:
    for name in ("x_%s.mrc", "x_%d_%d.mrc", "x_%.mrc", "x_%2d.mrc%", "x_%099d.mrc"):
        ran = run("decode", files / "series.nmap", "--frames", "0:1:30", "-o", tmp_path / name)
        assert ran.code == 2 and "wanted one %d" in ran.err, ran.err
    ran = run("decode", files / "series.nmap", "--frames", "0:1:2", "-o", tmp_path / "x_%02d.mrc")
    assert ran.code == 0 and "x_00.mrc to x_01.mrc" in ran.out and "2 files" in ran.out
    ran = run("decode", files / "series.nmap", "--frames", "0:1:2", "-o", tmp_path / "y.mrc")
    assert ran.code == 0 and "2 volumes in one stack" in ran.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x_00.mrc", "x_01.mrc", "y.mrc"]


def test_a_series_is_an_xarray_with_its_axis(series: NeuralMap, files: Path) -> None:
    xarray = pytest.importorskip("xarray")
    array = series.to_xarray()
    assert array.dims == ("t", "z", "y", "x") and array.shape == (FRAMES, *GRID.shape)
    assert_allclose(array.t, np.linspace(0, 1, FRAMES))
    whole = np.stack([series.at(t).as_array() for t in np.linspace(0, 1, FRAMES)])
    assert_allclose(array, whole, atol=1e-6)
    assert_allclose(series.to_xarray()[1:4, 5, ::3, 2:9], whole[1:4, 5, ::3, 2:9], atol=1e-6)
    assert_allclose(series.to_xarray()[[3, 0], :, 7, -1], whole[[3, 0], :, 7, -1], atol=1e-6)
    assert series.to_xarray()[:0, 5, ::3, 2:9].values.shape == (0, 8, 7)
    between = series.to_xarray(at=[0.1, 0.6])
    assert_allclose(between.sel(t=0.6), series.at(0.6).as_array(), atol=1e-6)
    opened = (
        xarray.open_dataset(files / "series.nmap", engine="nmap")
        if "nmap" in xarray.backends.list_engines()
        else None
    )
    assert opened is None or opened.density.dims == ("t", "z", "y", "x")
    with pytest.raises(OptionError, match="says nothing beyond"):
        series.to_xarray(at=[0.5, 1.5])
    with pytest.raises(OptionError, match="only a series has an axis"):
        series.at(0.5).to_xarray(at=[0.5])
    with pytest.raises(OptionError, match="5 maps, t from 0 to 1: choose a position"):
        series.to_torch()


def test_a_batch_decodes_series_at_a_position(tmp_path: Path, files: Path, series: NeuralMap) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.nmap").write_bytes((files / "series.nmap").read_bytes())
    ran = run("batch", "decode", tmp_path / "in", "-o", tmp_path / "out", "--workers", 1)
    assert ran.code != 0 and "choose a position with --at" in ran.err
    assert (
        run("batch", "decode", tmp_path / "in", "-o", tmp_path / "out", "--workers", 1, "--at", 0.3).code == 0
    )
    assert_allclose(mrcfile.read(tmp_path / "out" / "a.mrc"), series.at(0.3).as_array(), atol=1e-5)


def test_inspect_names_the_first_and_the_last_source(tmp_path: Path, files: Path) -> None:
    sources = sorted(files.glob("frame_*.mrc"))
    run(
        "encode", *sources, tmp_path / "a.nmap", "--resolution", RESOLUTION, "--symmetry", "C1", "--steps", 16
    )
    said = run("inspect", tmp_path / "a.nmap").out
    assert "frame_0.mrc to frame_4.mrc, 5 files" in said and "the 5 maps uncompressed were" in said


def test_a_report_shows_the_strip_and_every_frame(tmp_path: Path, files: Path) -> None:
    pytest.importorskip("matplotlib")
    sources = sorted(files.glob("frame_*.mrc"))
    assert run("report", files / "series.nmap", *sources, "-o", tmp_path / "page.html").code == 0
    page = (tmp_path / "page.html").read_text()
    assert "Central slices along the series" in page and "Fidelity FSC of each frame" in page
    assert page.count("data:image/png;base64,") == 1 and "<svg" in page
