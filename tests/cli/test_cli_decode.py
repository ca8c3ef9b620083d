"""`nmap decode`: on which grid the map comes back, and what kind of file it is."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from cli_files import run, write_siren


@pytest.fixture(scope="module")
def neural(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network over 12 x 10 x 8 voxels (x, y, z) of 2 A, periodic box."""
    folder = tmp_path_factory.mktemp("neural")
    write_siren(folder / "w.npz")
    out = folder / "small.nmap"
    ran = run(
        "import-weights", folder / "w.npz", "--omega", 3, "--shape", "12,10,8", "--voxel-size", 2,
        "--alignment", "box", "-o", out,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    return out


def decode(neural: Path, out: Path, *options: object) -> mrcfile.mrcfile.MrcFile:
    ran = run("decode", neural, "-o", out, "--overwrite", *options)
    assert ran.code == 0, ran.err
    return mrcfile.open(out)


def test_without_options_the_sources_grid_comes_back(neural: Path, tmp_path: Path) -> None:
    with decode(neural, tmp_path / "a.mrc") as mrc:
        assert mrc.data.shape == (8, 10, 12)
        assert mrc.data.dtype == np.float32
        assert mrc.voxel_size.item() == (2, 2, 2)
        assert mrc.header.ispg == 1


def test_shape_gives_the_same_box_at_other_counts(neural: Path, tmp_path: Path) -> None:
    with (
        decode(neural, tmp_path / "a.mrc") as one,
        decode(neural, tmp_path / "b.mrc", "--shape", "24,20,16") as two,
    ):
        assert two.data.shape == (16, 20, 24)
        assert two.voxel_size.item() == (1, 1, 1)
        np.testing.assert_allclose(two.data[::2, ::2, ::2], one.data, atol=1e-6)


def test_voxel_size_keeps_the_origin(neural: Path, tmp_path: Path) -> None:
    with (
        decode(neural, tmp_path / "a.mrc") as one,
        decode(neural, tmp_path / "b.mrc", "--voxel-size", 4) as two,
    ):
        assert two.data.shape == (4, 5, 6)
        np.testing.assert_allclose(two.data, one.data[::2, ::2, ::2], atol=1e-6)


def test_like_takes_the_other_maps_grid_and_leaves_solvent_outside(neural: Path, tmp_path: Path) -> None:
    like = tmp_path / "like.mrc"
    with mrcfile.new(like, np.zeros((4, 4, 4), np.float32)) as mrc:
        mrc.voxel_size = 2
        mrc.header.origin = (20, 0, 0)
    with decode(neural, tmp_path / "a.mrc") as one, decode(neural, tmp_path / "b.mrc", "--like", like) as two:
        assert two.data.shape == (4, 4, 4)
        assert two.header.origin.item() == (20, 0, 0)
        np.testing.assert_allclose(two.data[:, :, :2], one.data[:4, :4, 10:], atol=1e-6)
        assert not two.data[:, :, 2:].any()


def test_region_is_that_part_and_keeps_its_place(neural: Path, tmp_path: Path) -> None:
    with (
        decode(neural, tmp_path / "a.mrc") as one,
        decode(neural, tmp_path / "b.mrc", "--region", "2:7,1:4,3:8") as two,
    ):
        assert two.data.shape == (5, 3, 5)
        np.testing.assert_allclose(two.data, one.data[3:8, 1:4, 2:7], atol=1e-6)
        assert two.header.origin.item() == (4, 2, 6)


def test_float16_is_mode_12(neural: Path, tmp_path: Path) -> None:
    with decode(neural, tmp_path / "a.mrc", "--dtype", "float16") as mrc:
        assert mrc.header.mode == 12


def test_the_file_passes_mrcfiles_own_validation(neural: Path, tmp_path: Path) -> None:
    decode(neural, tmp_path / "a.mrc").close()
    assert mrcfile.validate(tmp_path / "a.mrc")


def test_two_grids_at_once_are_refused(neural: Path, tmp_path: Path) -> None:
    ran = run("decode", neural, "-o", tmp_path / "a.mrc", "--shape", 8, "--voxel-size", 2)
    assert ran.code == 2
    assert "--shape and --voxel-size" in ran.err
    assert not (tmp_path / "a.mrc").exists()


def test_the_same_file_gives_the_same_bytes(neural: Path, tmp_path: Path) -> None:
    decode(neural, tmp_path / "a.mrc").close()
    decode(neural, tmp_path / "b.mrc").close()
    assert (tmp_path / "a.mrc").read_bytes() == (tmp_path / "b.mrc").read_bytes()


def test_quiet_prints_nothing(neural: Path, tmp_path: Path) -> None:
    ran = run("decode", neural, "-o", tmp_path / "a.mrc", "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_decoding_loads_no_torch_h5py_or_gemmi(neural: Path, tmp_path: Path) -> None:
    program = (
        "import sys\nfrom nmap_cli.main import cli\n"
        "try: cli(sys.argv[1:])\n"
        "except SystemExit as left: assert left.code == 0, left.code\n"
        "print(*sorted({'torch', 'h5py', 'gemmi'} & set(sys.modules)))"
    )
    words = [sys.executable, "-c", program, "decode", neural, "-o", tmp_path / "a.mrc", "--quiet"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_labels_of_the_source_come_back_with_one_of_ours(data_dir: Path, tmp_path: Path) -> None:
    import bz2

    import mrcfile

    raw = bz2.decompress((data_dir / "EMD-3001.map.bz2").read_bytes())
    (tmp_path / "a.map").write_bytes(raw)
    wanted = mrcfile.open(tmp_path / "a.map", permissive=True).get_labels()
    options = ("--arch", "radial-basis", "--effort", "low", "--preset", "preview", "--resolution", 4)
    assert run("encode", tmp_path / "a.map", tmp_path / "a.nmap", *options).code == 0
    assert run("decode", tmp_path / "a.nmap", "-o", tmp_path / "b.mrc").code == 0
    found = mrcfile.open(tmp_path / "b.mrc").get_labels()
    assert found[:-1] == wanted[:9]
    assert found[-1].startswith("Decoded by nmap")


def test_a_grid_that_reaches_beyond_the_box_is_warned_of_with_both_extents(
    neural: Path, tmp_path: Path
) -> None:
    region = ("decode", neural, "-o", tmp_path / "a.mrc", "--region", "6:18,0:10,0:8", "--overwrite")
    ran = run(*region)
    assert ran.code == 0 and ran.err.count("\n") == 1
    assert "from (12, 0, 0) to (36, 20, 16) A" in ran.err and "from (0, 0, 0) to (24, 20, 16) A" in ran.err
    assert run(*region, "--quiet").err == ""
    assert run("decode", neural, "-o", tmp_path / "b.mrc", "--shape", 33).err == ""


def test_a_grid_that_has_nothing_of_the_box_is_refused(neural: Path, tmp_path: Path) -> None:
    ran = run("decode", neural, "-o", tmp_path / "a.mrc", "--region", "12:18,0:10,0:8")
    assert ran.code == 2 and "overlap" in ran.err
    like = tmp_path / "like.mrc"
    with mrcfile.new(like, np.zeros((4, 4, 4), np.float32)) as mrc:
        mrc.voxel_size = 2
        mrc.header.cellb = (90, 90, 60)  # turned against the box
        mrc.header.origin = (100, 0, 0)
    ran = run("decode", neural, "-o", tmp_path / "a.mrc", "--like", like)
    assert ran.code == 2 and "from (100, 0, 0)" in ran.err
    assert not (tmp_path / "a.mrc").exists()


def test_a_map_beyond_the_disk_is_refused_with_its_size_and_what_to_do(neural: Path, tmp_path: Path) -> None:
    ran = run("decode", neural, "-o", tmp_path / "a.mrc", "--shape", 100_000)
    assert ran.code == 4
    assert "3.725e+06 GiB" in ran.err and "--region" in ran.err and ran.err.count("\n") == 1


def test_an_array_beyond_the_memory_is_refused_with_its_size(neural: Path) -> None:
    import nmap

    with pytest.raises(nmap.errors.LimitError, match=r"3\.725e\+06 GiB.*slabs"):
        nmap.open(neural).as_array((100_000,) * 3)


def test_a_spacing_that_no_disk_holds_is_refused_before_its_samples_are_listed(
    neural: Path, tmp_path: Path
) -> None:
    for spacing in (1e-7, 1e-9):
        tracemalloc.start()
        ran = run("decode", neural, "-o", tmp_path / "a.mrc", "--voxel-size", spacing)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert ran.code == 4
        assert "are free on the disk" in ran.err and "--region" in ran.err
        assert most < 2**26
