"""The ChimeraX bundle: its wheel is built, and used against stubs of what it asks of ChimeraX.

The stubs are in `chimerax_stubs/`, written after the behaviour of ChimeraX's public source. ChimeraX itself was not
there to test with.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from phantoms import neural_map, siren

import nmap
from nmap.grid import Grid
from nmap.neural_map import NeuralMap
from nmap.point_group import PointGroup

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "integrations" / "chimerax"
STUBS = Path(__file__).parent / "chimerax_stubs"
GRID = Grid((20, 22, 24), (1.5, 2.0, 1.25), (10.0, -20.0, 3.0))
BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"


@pytest.fixture(scope="module", name="wheel")
def build_the_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle's wheel, built by setuptools from a copy of its folder, without a network."""
    pytest.importorskip("setuptools", minversion="77", reason="setuptools builds the wheel")
    source, out = tmp_path_factory.mktemp("source") / "bundle", tmp_path_factory.mktemp("wheel")
    shutil.copytree(BUNDLE, source)
    ran = subprocess.run(
        [sys.executable, "-c", BUILD, out], cwd=source, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    (wheel,) = out.glob("*.whl")
    return wheel


@pytest.fixture(name="chimerax")
def install_beside_stubs(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SimpleNamespace]:
    """A session of the stubs in which the bundle is installed and initialised."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.syspath_prepend(str(STUBS))
    session = SimpleNamespace(volumes=[], open_command=object())
    api = importlib.import_module("chimerax.nmap").bundle_api
    session.api = api
    api.initialize(session, None)
    yield session
    api.finish(session, None)
    for name in [name for name in sys.modules if name.partition(".")[0] == "chimerax"]:
        del sys.modules[name]


@pytest.fixture(name="made")
def make_map() -> NeuralMap:
    return neural_map(
        siren(omega=8.0),
        GRID,
        resolution=5.0,
        symmetry=PointGroup("D2", (15.0, 22.0, 15.0)),
        record={"fidelity": {"contour_level": 0.25}},
    )


@pytest.fixture(name="path")
def make_file(made: NeuralMap, tmp_path: Path) -> str:
    nmap.save(made, tmp_path / "a.nmap")
    return str(tmp_path / "a.nmap")


def stub(name: str) -> ModuleType:
    return importlib.import_module(f"chimerax.{name}")


def open_command(session: SimpleNamespace, path: str, **typed: str) -> tuple[list[Any], str]:
    """What `open PATH KEYWORD VALUE` does: it asks the provider for its keywords, and calls it with their values."""
    opener = session.api.run_provider(session, "nmap", session.open_command)
    assert isinstance(opener, stub("open_command").OpenerInfo)
    kinds = opener.open_args
    keywords = {name: kinds[name].parse(text, session)[0] for name, text in typed.items()}
    models, message = opener.open(session, path, Path(path).name, **keywords)
    session.volumes += models
    return models, message


def opened(session: SimpleNamespace, path: str, **typed: str) -> Any:
    """The grid of the one volume that the open command gives."""
    ((volume,), _) = open_command(session, path, **typed)
    return volume.data


def providers(wheel: Path) -> tuple[list[str], dict[str, dict[str, str]]]:
    """The bundle line and the providers, as ChimeraX parses them out of a wheel's classifiers."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    lines = [[part.strip() for part in line.split(" ::")] for line in metadata.get_all("Classifier", [])]
    (bundle,) = (line for line in lines if line[:2] == ["ChimeraX", "Bundle"])
    found = {}
    for line in lines:
        if line[:2] == ["ChimeraX", "Provider"]:
            pairs = (part.split(":", 1) for part in line[4:])
            found[line[3]] = {"name": line[2]} | {key: value.strip("\"'") for key, value in pairs}
    assert lines.index(bundle) < min(lines.index(line) for line in lines if line[1] == "Provider")
    return bundle, found


def test_the_wheel_is_pure_python_and_holds_the_package_alone(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl") and wheel.name.startswith("chimerax_nmap-")
    names = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    assert names == {
        f"chimerax/nmap/{file}" for file in ("__init__.py", "map_format.py", "map_grid.py", "opener.py")
    }


def test_the_classifiers_say_what_chimerax_reads_from_them(wheel: Path) -> None:
    bundle, found = providers(wheel)
    assert bundle == ["ChimeraX", "Bundle", "Volume Data", "1,1", "chimerax.nmap", "", "true"]
    assert found["data formats"] == {
        "name": "nmap",
        "category": "Volume data",
        "suffixes": ".nmap",
        "synopsis": "Neural density map",
    }
    assert found["open command"] == {"name": "nmap", "want_path": "true"}


def test_the_bundle_needs_nmap_em_without_torch(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        needs = Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist", [])
    assert [need for need in needs if not need.startswith("ChimeraX-")] == ["nmap-em>=0.1"]


def test_a_map_has_its_place_its_level_and_its_facts(chimerax: SimpleNamespace, path: str) -> None:
    ((volume,), message) = open_command(chimerax, path)
    grid = volume.data
    assert grid.size == (24, 22, 20) and grid.value_type == np.float32 and grid.name == "a.nmap"
    assert grid.step == GRID.voxel_size and grid.origin == GRID.origin
    assert volume.surface_level() == 0.25
    assert message == (
        "Opened a.nmap: 24 x 22 x 20 voxels of 1.5 x 2 x 1.25 A, "
        "resolution kept 5 A, symmetry D2, contour level 0.25"
    )


def test_opening_decodes_nothing(chimerax: SimpleNamespace, path: str) -> None:
    grid = opened(chimerax, path)
    assert "_spectrum" not in vars(grid.neural_map.field)
    grid.matrix((1, 2, 3), (4, 4, 4))
    assert "_spectrum" in vars(grid.neural_map.field)


@pytest.mark.parametrize(
    ("origin", "size", "step"),
    [
        ((0, 0, 0), None, (1, 1, 1)),
        ((3, 5, 7), (10, 8, 6), (1, 1, 1)),
        ((3, 5, 7), (10, 8, 6), (2, 3, 4)),
        ((0, 0, 9), (24, 22, 1), (1, 1, 1)),
        ((23, 21, 19), (1, 1, 1), (4, 4, 4)),
    ],
)
def test_a_region_is_the_crop_of_the_whole(
    chimerax: SimpleNamespace, path: str, made: NeuralMap, origin: tuple, size: tuple | None, step: tuple
) -> None:
    whole = made.as_array()
    region = opened(chimerax, path).matrix(origin, size, step)
    i, j, k = (slice(o, o + n, s) for o, n, s in zip(origin, size or (24, 22, 20), step, strict=True))
    assert region.shape == whole[k, j, i].shape and region.dtype == np.float32
    np.testing.assert_allclose(region, whole[k, j, i], atol=1e-6)


def test_only_the_region_and_step_that_are_asked_for_are_decoded(
    chimerax: SimpleNamespace, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = []
    decode = NeuralMap.on_part

    def watched(self: NeuralMap, part: tuple[slice, ...], grid: Grid) -> np.ndarray:
        parts.append(part)
        return decode(self, part, grid)

    monkeypatch.setattr(NeuralMap, "on_part", watched)
    opened(chimerax, path).matrix((3, 5, 7), (10, 8, 6), (2, 3, 4))
    indices = [list(range(30))[s] for s in parts[0]]
    assert len(parts) == 1 and indices == [[7, 11], [5, 8, 11], [3, 5, 7, 9, 11]]


def test_a_step_of_a_kept_region_and_a_step_that_is_read_are_the_same(
    chimerax: SimpleNamespace, path: str
) -> None:
    """ChimeraX takes a coarser region out of a finer one that it keeps."""
    kept, fresh = opened(chimerax, path), stub("nmap.map_grid").open_grid(path)
    kept.matrix()
    coarse = ((2, 4, 0), (20, 18, 20), (2, 2, 2))
    np.testing.assert_allclose(kept.matrix(*coarse), fresh.matrix(*coarse), atol=1e-6)
    assert len(kept.kept) == 1


def test_progress_is_told_to_the_last_plane(
    chimerax: SimpleNamespace, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stub("nmap.map_grid"), "_ROWS_AT_ONCE", 24 * 22 * 8)
    said: list[Any] = []
    progress = SimpleNamespace(
        array_size=lambda size, itemsize: said.append((tuple(size), itemsize)), plane=said.append
    )
    grid = opened(chimerax, path)
    whole = grid.read_matrix((0, 0, 0), grid.size, (1, 1, 1), progress)
    assert said == [((24, 22, 20), 4), 7, 15, 19]
    np.testing.assert_allclose(whole, grid.neural_map.as_array(), atol=1e-6)


def test_the_keyword_sampling_makes_a_finer_map_of_the_same_box(
    chimerax: SimpleNamespace, path: str, made: NeuralMap
) -> None:
    plain, finer = opened(chimerax, path), opened(chimerax, path, sampling="2")
    assert finer is not plain and finer.size == (48, 44, 40)
    assert finer.step == (0.75, 1.0, 0.625) and finer.origin == plain.origin
    assert finer.name == "a.nmap sampling 2"
    np.testing.assert_allclose(finer.matrix(), made.as_array((40, 44, 48)), atol=1e-6)
    assert opened(chimerax, path, sampling="2.0") is finer


def test_scripts_have_the_keyword_too(chimerax: SimpleNamespace, path: str) -> None:
    (grid,) = stub("map_data").open_file(path, sampling=1.5, log=None)
    assert grid.size == (36, 33, 30)


@pytest.mark.parametrize("sampling", ["0", "1.7", "5", "nan"])
def test_a_sampling_that_is_not_offered_is_refused(
    chimerax: SimpleNamespace, path: str, sampling: str
) -> None:
    with pytest.raises(stub("core.errors").UserError, match=r"wanted a multiple of 0\.25 from 0\.25 to 4"):
        open_command(chimerax, path, sampling=sampling)


@pytest.mark.parametrize("sampling", ["1", "0.5", "2", "3.25"])
def test_a_session_keeps_path_and_format_and_restores_the_same_map(
    chimerax: SimpleNamespace, path: str, sampling: str
) -> None:
    grid = opened(chimerax, path, sampling=sampling)
    state = stub("map.volume").state_of(grid)
    assert state["path"] == path and "array" not in state and "step" not in state
    again = stub("map.volume").grid_of(state, log=None)
    assert again is not grid and again.size == grid.size and again.step == grid.step
    assert again.name == grid.name and again.file_type == grid.file_type
    assert again.initial_surface_level == 0.25
    np.testing.assert_array_equal(again.matrix((1, 2, 3), (4, 5, 2)), grid.matrix((1, 2, 3), (4, 5, 2)))


def test_only_the_plain_format_has_the_suffix_and_finish_takes_all_back(chimerax: SimpleNamespace) -> None:
    formats = stub("map_data").file_formats
    assert len({known.name for known in formats}) == len(formats) == 1 + 16
    assert [known.name for known in formats if "nmap" in known.suffixes] == ["nmap"]
    assert not any(known.writable for known in formats[1:])
    chimerax.api.finish(chimerax, None)
    assert [known.name for known in formats] == ["mrc"]


def test_symmetries_are_the_turns_about_the_centre_in_angstrom(chimerax: SimpleNamespace, path: str) -> None:
    """D2 has two-fold axes along x, y and z."""
    centre = np.array([10.0 + 15.0, -20.0 + 22.0, 3.0 + 15.0])
    from_centre = np.array([1.0, 2.0, 4.0])
    turned = {
        tuple(np.round(place * (centre + from_centre) - centre, 6))
        for place in opened(chimerax, path).symmetries
    }
    assert turned == {(1, 2, 4), (-1, -2, 4), (1, -2, -4), (-1, 2, -4)}


def test_a_map_without_symmetry_contour_or_band_limit_says_so(
    chimerax: SimpleNamespace, tmp_path: Path
) -> None:
    box = Grid((6, 7, 8), (1.0, 1.5, 2.0), angles=(80.0, 95.0, 115.0))
    nmap.save(neural_map(siren(), box), tmp_path / "bare.nmap")
    ((volume,), message) = open_command(chimerax, str(tmp_path / "bare.nmap"))
    assert message.endswith("no band limit, symmetry C1, no contour level")
    assert volume.data.cell_angles == (80.0, 95.0, 115.0) and volume.data.symmetries is None
    assert not hasattr(volume.data, "initial_surface_level")


def test_a_damaged_file_is_one_line_for_the_user(chimerax: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "a.nmap").write_bytes(b"nothing" * 99)
    with pytest.raises(stub("core.errors").UserError, match=r"a\.nmap: ") as caught:
        open_command(chimerax, str(tmp_path / "a.nmap"))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_an_os_error(chimerax: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not there"):
        open_command(chimerax, str(tmp_path / "not there.nmap"))


@pytest.mark.parametrize("other", [None, SimpleNamespace(__file__="site-packages/nmap/nmap.py")])
def test_without_nmap_em_it_says_what_to_install(
    chimerax: SimpleNamespace, path: str, monkeypatch: pytest.MonkeyPatch, other: object
) -> None:
    monkeypatch.setitem(sys.modules, "nmap", other)
    with pytest.raises(stub("core.errors").UserError, match=r"needs nmap-em.*pip install \. in a checkout"):
        open_command(chimerax, path)


def test_the_bundle_works_without_torch(wheel: Path, tmp_path: Path, path: str) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    program = (
        "import sys; sys.modules['torch'] = None; sys.path[:0] = sys.argv[1:3];"
        "from chimerax.nmap.map_grid import open_grid; print(open_grid(sys.argv[3]).matrix().shape)"
    )
    command = [sys.executable, "-c", program, str(STUBS), str(tmp_path / "site"), path]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.stdout == "(20, 22, 24)\n", ran.stderr
