"""Headers and folders of the archive: what is taken from them, and what hostile ones come to."""

from __future__ import annotations

from pathlib import Path

import pytest

from nmap.batch.emdb import entries, half_maps, is_tree, read_header
from nmap.errors import NmapError

# The elements and their order as schema 3 has them, values made up.
VERSION_3 = """<?xml version="1.0" encoding="UTF-8"?>
<emd emdb_id="EMD-99001" version="3.0.6.0">
  <admin><title>A &lt;test&gt;</title></admin>
  <structure_determination_list><structure_determination structure_determination_id="1">
    <method>singleParticle</method>
    <image_processing_list><singleparticle_processing image_processing_id="1">
      <final_reconstruction>
        <applied_symmetry><point_group>D7</point_group></applied_symmetry>
        <resolution res_type="BY AUTHOR" units="&#197;">2.9</resolution>
        <resolution_method>FSC 0.143 CUT-OFF</resolution_method>
      </final_reconstruction>
      <final_multi_reference_alignment><resolution>30</resolution></final_multi_reference_alignment>
    </singleparticle_processing></image_processing_list>
  </structure_determination></structure_determination_list>
  <map format="CCP4" size_kbytes="55297">
    <file>emd_99001.map.gz</file>
    <contour_list>
      <contour primary="false"><level>0.9</level></contour>
      <contour primary="true"><level>0.021</level><source>AUTHOR</source></contour>
    </contour_list>
  </map>
  <interpretation><half_map_list>
    <half_map format="CCP4"><file>emd_99001_half_map_1.map.gz</file></half_map>
    <half_map format="CCP4"><file>../../../emd_99001_half_map_2.map.gz</file></half_map>
  </half_map_list></interpretation>
</emd>
"""
# The same facts in schema 1.9.
VERSION_1 = """<emdEntry accessCode="1001" version="1.9.6">
  <map><file format="CCP4" type="map">emd_1001.map.gz</file><contourLevel source="author">2.08</contourLevel></map>
  <processing><method>singleParticle</method>
    <reconstruction><resolutionByAuthor>14.5</resolutionByAuthor></reconstruction>
    <singleParticle><appliedSymmetry>C1</appliedSymmetry></singleParticle>
  </processing>
</emdEntry>
"""
ENTITIES = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 10))
LAUGHS = f'<?xml version="1.0"?><!DOCTYPE emd [<!ENTITY e0 "ha">{ENTITIES}]><emd><title>&e9;</title></emd>'
OUTSIDE = '<?xml version="1.0"?><!DOCTYPE emd [<!ENTITY f SYSTEM "file:///etc/passwd">]><emd>&f;</emd>'


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_header_of_schema_3_gives_resolution_symmetry_primary_contour_and_half_maps(tmp_path: Path) -> None:
    header = read_header(written(tmp_path / "h.xml", VERSION_3))
    assert (header.resolution, header.symmetry, header.contour) == (2.9, "D7", 0.021)
    assert header.half_maps == ("emd_99001_half_map_1.map.gz", "emd_99001_half_map_2.map.gz")
    assert header.odd == ()


def test_a_header_of_schema_1_9_gives_the_same(tmp_path: Path) -> None:
    header = read_header(written(tmp_path / "h.xml", VERSION_1))
    assert (header.resolution, header.symmetry, header.contour) == (14.5, "C1", 2.08)


@pytest.mark.parametrize("text", [LAUGHS, OUTSIDE], ids=["billion-laughs", "outside-entity"])
def test_a_header_with_a_document_type_is_refused_before_anything_is_expanded(
    tmp_path: Path, text: str
) -> None:
    with pytest.raises(NmapError, match="document type"):
        read_header(written(tmp_path / "h.xml", text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<a>" * 500, "inside each other"),
        ("<emd>" + " " * (1 << 23) + "</emd>", "more than"),
        ("<emd><map>", "no well-formed XML"),
        ("", "no well-formed XML"),
    ],
    ids=["deep", "large", "cut", "empty"],
)
def test_a_hostile_header_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(NmapError, match=rf"h\.xml.*{said}"):
        read_header(written(tmp_path / "h.xml", text))


@pytest.mark.parametrize(
    ("text", "odd"), [("-3", "-3"), ("nan", "nan"), ("9e999", "9e999"), ("good", "good")]
)
def test_a_resolution_that_is_none_is_left_out_and_said(tmp_path: Path, text: str, odd: str) -> None:
    header = read_header(written(tmp_path / "h.xml", VERSION_3.replace(">2.9<", f">{text}<")))
    assert header.resolution is None
    assert len(header.odd) == 1
    assert odd in header.odd[0]


def test_a_symmetry_that_is_no_point_group_is_left_out(tmp_path: Path) -> None:
    header = read_header(written(tmp_path / "h.xml", VERSION_3.replace("D7", "helical")))
    assert header.symmetry is None
    assert "helical" in header.odd[0]


def test_a_tree_gives_its_entries_by_number_each_with_its_header(tmp_path: Path) -> None:
    for number in ("99001", "1001"):
        written(tmp_path / f"EMD-{number}" / "map" / f"emd_{number}.map.gz", "")
    header = written(tmp_path / "EMD-1001" / "header" / "emd-1001.xml", VERSION_1)
    assert is_tree(tmp_path)
    first, second = entries(tmp_path)
    assert (first.map.name, first.header) == ("emd_1001.map.gz", header)
    assert (second.map.name, second.header) == ("emd_99001.map.gz", None)


def test_half_maps_come_from_the_entry_s_own_folder_whatever_path_a_header_says(tmp_path: Path) -> None:
    path = written(tmp_path / "EMD-99001" / "header" / "emd-99001.xml", VERSION_3)
    header = read_header(path)
    stolen = written(tmp_path / "emd_99001_half_map_2.map.gz", "")
    own = written(tmp_path / "EMD-99001" / "other" / "emd_99001_half_map_1.map.gz", "")
    assert stolen.is_file()
    assert half_maps(path, header) is None
    second = written(own.with_name("emd_99001_half_map_2.map.gz"), "")
    assert half_maps(path, header) == (own, second)
