"""From a density map to a network. torch is imported when a fit begins, not before."""
