"""Fits a SIREN in blocks to a series of maps."""
