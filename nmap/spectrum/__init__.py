"""Fourier shells of a box: the only place that knows shell arithmetic.

One convention everywhere. Shell index = round(radius / width) with width = 1/(longest box edge), which for a
cube is RELION's round(radius in Fourier pixels). Every mode of the full transform counts once: the
half-complex array is weighted 2, and 1 on its self-conjugate planes. Frequency of a shell = index * width,
in 1/Angstrom. Curves end at the last shell that every axis still holds (Nyquist). Volumes are (z, y, x);
spectra are `scipy.fft.rfftn` of them, (z, y, x // 2 + 1). Other programs' conventions can be asked for by
name, to compare figures with theirs.
"""

from nmap.spectrum.curve import (
    NEGLIGIBLE,
    NEGLIGIBLE_RULE,
    Crossing,
    ShellCurve,
    ShellSums,
    correlate_shells,
    frc,
    fsc,
    negligible_shells,
    power,
    products,
    shell_power,
    squared,
    transform,
)
from nmap.spectrum.phases import randomise_phases
from nmap.spectrum.planes import (
    Planes,
    invert_onto,
    over_columns,
    resample_planes,
    transform_cut,
    transform_planes,
    transform_values,
)
from nmap.spectrum.resampling import (
    band_limited,
    crop_spectrum,
    invert,
    lattice_shape,
    resample,
    sharpened,
)
from nmap.spectrum.shells import CONVENTION, CONVENTIONS, F32, F64, Complex, Convention, Shells
from nmap.spectrum.uncertainty import LowestMargin, Margin, fsc_margin, modes_for_one
from nmap.spectrum.wording import floored, worded

__all__ = [
    "CONVENTION",
    "CONVENTIONS",
    "F32",
    "F64",
    "NEGLIGIBLE",
    "NEGLIGIBLE_RULE",
    "Complex",
    "Convention",
    "Crossing",
    "LowestMargin",
    "Margin",
    "Planes",
    "ShellCurve",
    "ShellSums",
    "Shells",
    "band_limited",
    "correlate_shells",
    "crop_spectrum",
    "floored",
    "frc",
    "fsc",
    "fsc_margin",
    "invert",
    "invert_onto",
    "lattice_shape",
    "modes_for_one",
    "negligible_shells",
    "over_columns",
    "power",
    "products",
    "randomise_phases",
    "resample",
    "resample_planes",
    "sharpened",
    "shell_power",
    "squared",
    "transform",
    "transform_cut",
    "transform_planes",
    "transform_values",
    "worded",
]
