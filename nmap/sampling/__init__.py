"""Samples of a field: on whole grids, in slabs, and at single points."""
