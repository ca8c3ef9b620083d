from chimerax.map.volume import add_map_format

__all__ = ["add_map_format"]
