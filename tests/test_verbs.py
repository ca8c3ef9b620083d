"""`nmap.validate` and `nmap.fsc` take paths wherever they take maps, and find the same."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import neural_map, siren

import nmap
from nmap.errors import GridError, NmapError, OptionError
from nmap.grid import Grid
from nmap.maps import DensityMap

GRID = Grid((20, 22, 24), (1.5, 1.5, 1.5), (10.0, -20.0, 3.0))


@pytest.fixture(scope="module", name="files")
def make_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verbs")
    made = neural_map(siren(omega=8.0), GRID, resolution=4.5)
    nmap.save(made, folder / "a.nmap")
    values, rng = made.as_array(), np.random.default_rng(0)
    for name in ("source", "half1", "half2"):
        noise = rng.standard_normal(values.shape, dtype=np.float32)
        nmap.write_map(DensityMap(values + 0.05 * values.std() * noise, GRID), folder / f"{name}.mrc")
    nmap.write_map(DensityMap(values, GRID), folder / "decoded.mrc")
    strong = np.square(values - values.mean()) > values.var()
    nmap.write_map(DensityMap(strong.astype(np.float32), GRID), folder / "mask.mrc")
    return folder


def test_a_file_a_neural_map_a_decode_and_its_path_are_one_to_validate(files):
    source = files / "source.mrc"
    given = (
        files / "a.nmap",
        str(files / "a.nmap"),
        nmap.open(files / "a.nmap"),
        nmap.decode(files / "a.nmap"),
        files / "decoded.mrc",
    )
    found = [nmap.validate(one, source) for one in given]
    assert [f.real_space.correlation for f in found] == pytest.approx(
        [found[0].real_space.correlation] * 5, abs=1e-6
    )
    assert found[0].sizes is not None and found[0].sizes.nmap == (files / "a.nmap").stat().st_size
    assert found[2].band_limit is not None and found[2].off_grid is not None and found[2].sizes is None
    assert nmap.validate(given[0], nmap.read_map(source)).fidelity.worst == found[0].fidelity.worst


def test_what_the_verbs_give_is_one_line_where_it_is_shown(files):
    neural, density = nmap.open(files / "a.nmap"), nmap.read_map(files / "source.mrc")
    shown = {
        repr(neural): ("siren", "24 x 22 x 20 voxels of 1.5 A", "band limit 4.5 A", "bytes"),
        repr(density): ("source.mrc", "24 x 22 x 20 voxels of 1.5 A", "densities from "),
        repr(nmap.inspect(files / "a.nmap")): (
            "a.nmap",
            "siren",
            "band limit 4.5 A",
            "fidelity not recorded",
        ),
        repr(nmap.validate(files / "a.nmap", files / "source.mrc")): (
            "a.nmap against source.mrc",
            "FSC 0.",
            "holds",
        ),
        repr(nmap.fsc(files / "source.mrc", files / "decoded.mrc")): ("shells to 3", "lowest 0."),
    }
    for line, parts in shown.items():
        assert "\n" not in line and len(line) < 200
        assert [part for part in parts if part not in line] == [], line


def test_masks_and_half_maps_are_paths_or_maps(files):
    paths = {"mask": files / "mask.mrc", "half_maps": (files / "half1.mrc", files / "half2.mrc")}
    maps = {"mask": nmap.read_map(paths["mask"]), "half_maps": tuple(map(nmap.read_map, paths["half_maps"]))}
    a, b = (nmap.validate(files / "a.nmap", files / "source.mrc", **given) for given in (paths, maps))
    assert a.masked is not None and b.masked is not None and a.half_maps is not None
    assert a.masked.mask == b.masked.mask == "mask.mrc"
    assert a.masked.worst == b.masked.worst
    np.testing.assert_array_equal(a.half_maps.best.fsc, b.half_maps.best.fsc)


def test_limits_are_a_mapping_by_name(files):
    pair = files / "a.nmap", files / "source.mrc"
    assert nmap.validate(*pair, limits={"min_fsc": 0.5, "max_bytes": 10**6}).holds
    short = nmap.validate(*pair, limits={"max_bytes": 10})
    assert [check.name for check in short.failed] == ["bytes"]
    with pytest.raises(OptionError, match="no such measure"):
        nmap.validate(*pair, limits={"min_beauty": 1})


def test_fsc_of_two_paths_is_that_of_their_arrays(files):
    a, b = files / "half1.mrc", files / "half2.mrc"
    curve = nmap.fsc(a, nmap.read_map(b))
    wanted = nmap.spectrum.fsc(nmap.read_map(a).values, nmap.read_map(b).values, GRID)
    np.testing.assert_array_equal(curve.fsc, wanted.fsc)
    assert nmap.fsc(a, b, mask=files / "mask.mrc").crossing(0.5) != curve.crossing(0.5)


def test_maps_on_two_grids_and_missing_files_are_errors_of_nmap(files, tmp_path):
    nmap.write_map(
        DensityMap(np.ones((8, 8, 8), np.float32), Grid((8, 8, 8), (1.0,) * 3)), tmp_path / "b.mrc"
    )
    with pytest.raises(GridError, match="lies on"):
        nmap.fsc(files / "half1.mrc", tmp_path / "b.mrc")
    for call in (nmap.fsc, nmap.validate):
        with pytest.raises(NmapError, match="no such file"):
            call(tmp_path / "missing.mrc", files / "half1.mrc")
