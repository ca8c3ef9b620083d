"""Fitting networks of dense layers: SIREN and Fourier features."""
