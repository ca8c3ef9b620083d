"""The former home of what `nmap.maps` gives."""

from nmap.maps import DensityMap, MapHeader, MapWriter, read_map, write_map

__all__ = ["DensityMap", "MapHeader", "MapWriter", "read_map", "write_map"]
