"""Density maps, and the files that hold them."""

from nmap.maps.density_map import DensityMap, MapHeader
from nmap.maps.mrc_reader import read_map
from nmap.maps.mrc_writer import MapWriter, write_map

__all__ = ["DensityMap", "MapHeader", "MapWriter", "read_map", "write_map"]
