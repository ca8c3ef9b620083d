"""Fitting a radial basis: equal bumps of whole-number weight on a lattice."""
