"""Density maps, and the files that hold them."""

from nmap.maps.density_map import DensityMap, MapFrame, MapHeader
from nmap.maps.formats import map_of, read_frame, read_grid, read_map, read_map_with
from nmap.maps.mrc_writer import MapWriter, write_map
from nmap.maps.read_options import DEFAULT_READING, ReadOptions
from nmap.maps.series import read_series

__all__ = [
    "DEFAULT_READING",
    "DensityMap",
    "MapFrame",
    "MapHeader",
    "MapWriter",
    "ReadOptions",
    "map_of",
    "read_frame",
    "read_grid",
    "read_map",
    "read_map_with",
    "read_series",
    "write_map",
]
