"""What a user gives, to maps: names, options by row, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nmap.batch.sources import MAP_SUFFIXES, find_sources, identity
from nmap.errors import MissingFileError, OptionError
from nmap_cli.batch_options import ENCODE_OPTIONS, converter
from nmap_cli.encode import command as encode_command

CONVERT = converter(ENCODE_OPTIONS)


def found(*given: Path | str) -> dict[str, dict[str, object]]:
    return {one.id: dict(one.options) for one in find_sources([str(g) for g in given], MAP_SUFFIXES, CONVERT)}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("emd_1.map.gz", "emd_1"),
        ("a/b.MRC", "b"),
        ("c.mrc.bz2", "c"),
        ("x.y.ccp4", "x.y"),
        ("d", "d"),
        (".mrc", ".mrc"),
    ],
)
def test_an_id_is_the_file_s_name_without_its_endings(name: str, wanted: str) -> None:
    assert identity(name) == wanted


def test_a_folder_gives_all_maps_below_it_with_their_folders_in_their_names(tmp_path: Path) -> None:
    (tmp_path / "one" / "two").mkdir(parents=True)
    for name in ("a.mrc", "one/a.map.gz", "one/two/b.ccp4", "one/readme.txt"):
        (tmp_path / name).touch()
    assert list(found(tmp_path)) == ["a", "one/a", "one/two/b"]


def test_a_pattern_gives_what_fits_it(tmp_path: Path) -> None:
    for name in ("b.mrc", "a.mrc", "c.txt"):
        (tmp_path / name).touch()
    assert list(found(tmp_path / "*.mrc")) == ["a", "b"]


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"none\.mrc"):
        found(tmp_path / "none.mrc")


def test_two_maps_of_one_name_are_refused_and_both_named(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.mrc").touch()
    with pytest.raises(OptionError, match=r"x/a\.mrc and .*y/a\.mrc would both be a"):
        found(tmp_path / "x" / "a.mrc", tmp_path / "y" / "a.mrc")


def test_a_csv_gives_options_by_row_as_the_command_line_reads_them(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text(
        "source,id,resolution,--time-budget,max-bytes,no_hdf5,slice,mask\n"
        "a.mrc,,3.2,2m,8K,true,z=5,none\n"
        "b.mrc,other,,,,,,m.mrc\n"
    )
    assert found(tmp_path / "l.csv") == {
        "a": {
            "resolution": 3.2,
            "time_budget": 120.0,
            "max_bytes": 8192,
            "no_hdf5": True,
            "slice": ["z", 5],
            "mask": "none",
        },
        "other": {"mask": str(tmp_path / "m.mrc")},
    }


def test_json_lines_give_numbers_and_text_alike(tmp_path: Path) -> None:
    rows = [{"source": "a.mrc", "voxel_size": 1.5}, {"source": "b.mrc", "voxel-size": "1,2,3", "seed": 4}]
    (tmp_path / "l.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert found(tmp_path / "l.jsonl") == {
        "a": {"voxel_size": [1.5, 1.5, 1.5]},
        "b": {"voxel_size": [1.0, 2.0, 3.0], "seed": 4},
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("source,resolutoin\na.mrc,3\n", "line 2.*'resolutoin'.*wanted one of resolution"),
        ("source,resolution\na.mrc,fine\n", "line 2.*resolution.*fine"),
        ("source,preset\na.mrc,best\n", "line 2.*preset"),
        ("source,no_hdf5\na.mrc,perhaps\n", "wanted true or false"),
        ("map\na.mrc\n", "line 2.*no source"),
        ("source,id\na.mrc,../../b\n", "wanted a name"),
        ("source,resolution\na.mrc\n", "wanted 2 values"),
        ("source,checkpoint\na.mrc,x\n", "'checkpoint'"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused_by_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(OptionError, match=said):
        found(tmp_path / "l.csv")


def test_a_batch_takes_every_option_of_encode_that_is_not_of_one_file_alone() -> None:
    of_one_file = {"source", "out", "output", "report", "keep_on_interrupt", "overwrite", "checkpoint"}
    of_a_series = {"sources", "axis", "at", "periodic_t"}
    of_the_command = {"as_json", "quiet", "verbose"}
    every = {str(option.name) for option in encode_command.params}
    assert set(ENCODE_OPTIONS) == every - of_one_file - of_a_series - of_the_command


@pytest.mark.parametrize("target", ["nothing.mrc", "link.mrc"])
def test_a_link_that_leads_nowhere_is_named(target: str, tmp_path: Path) -> None:
    (tmp_path / "link.mrc").symlink_to(target)
    with pytest.raises(MissingFileError, match=r"link\.mrc: no such file or folder"):
        found(tmp_path / "link.mrc")
    (tmp_path / "a.mrc").touch()
    assert list(found(tmp_path / "*.mrc")) == ["a"]


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ('{"source": "\\ud800.mrc"}', r"line 2: 'source' .*whole characters"),
        ('{"source": "a.mrc", "id": "\\ud800"}', r"line 2: 'id' .*whole characters"),
        ('{"source": "a.mrc", "\\ud800": 1}', r"line 2: .*whole characters"),
        ('{"source": "a.mrc", "resolution": NaN}', "line 2: resolution nan: wanted a finite number"),
        ('{"source": "a.mrc", "steps": 1e400}', "line 2: steps inf: wanted a finite number"),
        ("\xff", "line 2: no JSON"),
    ],
)
def test_a_row_of_what_json_alone_can_write_is_refused_by_its_line(
    row: str, named: str, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"source": "b.mrc"}\n' + row.encode("latin-1") + b"\n")
    with pytest.raises(OptionError, match=named):
        found(tmp_path / "a.jsonl")


def test_a_name_that_is_no_utf8_may_stand_in_a_list(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"source": "caf\\udce9.mrc"}\n')
    assert list(found(tmp_path / "a.jsonl")) == ["caf\udce9"]
