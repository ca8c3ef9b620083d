"""Density maps and the files that hold them."""
