"""Studies: what a network does to a map under other samplings and other settings, as numbers and pictures.

A room above the verbs: it encodes, decodes and compares, and nothing below it knows of it.
"""

from nmap.study.contenders import MEASURES, Contender, Network
from nmap.study.interpolation import Interpolation, Missed, Standing, study_interpolation
from nmap.study.sweep import Cell, Sweep, run_sweep

__all__ = [
    "MEASURES",
    "Cell",
    "Contender",
    "Interpolation",
    "Missed",
    "Network",
    "Standing",
    "Sweep",
    "run_sweep",
    "study_interpolation",
]
