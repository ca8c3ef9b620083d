"""Fitting a SIREN in blocks: one trunk that all blocks share, and a short code for each."""
