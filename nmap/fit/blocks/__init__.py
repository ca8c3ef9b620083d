"""Fits of SIRENs in blocks."""
