"""What a comparison of two maps found: plain data, and its JSON.

Every number travels with what it was measured on: box, voxel size, mask, resolution and shell convention.
"Fidelity" FSC compares a decoded map with its own source; it says nothing of the source's resolution, which
a half-map FSC does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nmap.grid import Grid, Triple
from nmap.spectrum import F64, Crossing, ShellCurve

if TYPE_CHECKING:
    from nmap.compare.atomic_model import MapModel
    from nmap.compare.half_maps import HalfMaps

THRESHOLDS = (0.9, 0.5, 0.143)
UNLIKE = 0.1
"""Maps whose mean FSC and correlation both lie below this have nothing in common."""
ENVELOPE = "the file's envelope"
"""In place of a mask's name: the source times the envelope that the file was fitted within."""
PSNR_PEAK = "maximum minus minimum of the source"


@dataclass(frozen=True)
class Sizes:
    """Bytes of a neural map and of the ways to store its source.

    Attributes:
        nmap: the `.nmap` file.
        raw: the source's MRC file uncompressed.
        gz: the same, gzipped.
        gz_is_source: whether `gz` is the source file as it lies on disk, else made here with zlib level 6.
        float16: an MRC file of mode 12.
        voxels: samples of the source.
    """

    nmap: int
    raw: int
    gz: int | None
    gz_is_source: bool
    float16: int
    voxels: int

    @property
    def bits_per_voxel(self) -> float:
        """Bits of the `.nmap` file for each voxel of the source."""
        return 8 * self.nmap / self.voxels

    def ratio(self, other: int | None) -> float | None:
        """How many times smaller the `.nmap` file is than `other` bytes."""
        return None if other is None else other / self.nmap


@dataclass(frozen=True)
class Container:
    """What the file itself turned out to be; a file that breaks the format never gets this far.

    Attributes:
        parts: bytes by use: weights, gains, envelope, header, hdf5, total.
        record: whether it carries a record of its source and fit, checked against the weights.
        same_source: whether the source given is the file that the record names by its SHA-256; None: no
            record.
    """

    parts: Mapping[str, int]
    record: bool
    same_source: bool | None


@dataclass(frozen=True)
class RealSpace:
    """Voxel against voxel, over the whole box and in and out of an envelope.

    Attributes:
        rmse: root mean square of decoded minus source, in the map's own units.
        rmse_inside: the same where the envelope exceeds one half; None without an envelope.
        max_error: largest absolute difference.
        psnr: 20 log10(peak / rmse) in decibel, peak as in `PSNR_PEAK`; infinite for equal maps.
        correlation: Pearson correlation over the whole box.
        correlation_inside: inside the envelope.
        correlation_outside: outside it.
        inside_fraction: share of the box that lies inside.
        slope: least-squares factor from the source to the decoded map, about both means; 1 keeps contrast.
        mean_source: mean density.
        mean_decoded: mean density.
    """

    rmse: float
    rmse_inside: float | None
    max_error: float
    psnr: float
    correlation: float
    correlation_inside: float | None
    correlation_outside: float | None
    inside_fraction: float | None
    slope: float
    mean_source: float
    mean_decoded: float


@dataclass(frozen=True)
class Fidelity:
    """A fidelity FSC: decoded against source.

    Attributes:
        curve: correlation by shell; shells in which the source is negligible are marked.
        mask: what both were multiplied by: "none" or the mask's name; `ENVELOPE` for the envelope of the fit,
            by which the source alone was.
        resolution: the worst shell is sought to here, Angstrom; None: to Nyquist.
    """

    curve: ShellCurve
    mask: str
    resolution: float | None

    @property
    def where(self) -> str:
        """What was compared, in words."""
        if self.mask == "none":
            return "over the whole box"
        if self.mask == ENVELOPE:
            return f"against the source times {ENVELOPE}"
        return f"in the mask {self.mask}"

    @property
    def crossings(self) -> tuple[Crossing, ...]:
        """Where the curve first falls below each of `THRESHOLDS`."""
        return tuple(self.curve.crossing_at(threshold) for threshold in THRESHOLDS)

    @property
    def worst(self) -> float:
        """Lowest correlation of the counted shells to the resolution; NaN if none counts."""
        shell = self.curve.worst_shell(self.resolution)
        return float("nan") if shell is None else float(self.curve.fsc[shell])

    @property
    def mean(self) -> float:
        """Mean correlation of the counted shells to the resolution; NaN if none counts."""
        counted = self.curve.counted(self.resolution)
        return float(self.curve.fsc[counted].mean()) if counted.any() else float("nan")


@dataclass(frozen=True)
class BandLimit:
    """What lies beyond the frequency above which the file claims nothing.

    Attributes:
        limit: Angstrom.
        beyond_decoded: share of the decoded map's power (without the zero mode) beyond the last shell
            within it.
        beyond_source: the same of the source: what the limit left out.
    """

    limit: float
    beyond_decoded: float
    beyond_source: float


@dataclass(frozen=True)
class OffGrid:
    """A decode at twice the sampling against the Fourier-upsampled source.

    Attributes:
        curve: fidelity FSC of the doubled decode to the source's Nyquist.
        lowest_ratio: smallest ratio of its shells to those of the decode on the source's own grid, to the
            resolution; None where no shell there is good enough to take a ratio of.
        power_beyond: share of its power (without the zero mode) beyond the band limit, or beyond the source's
            Nyquist if the file has none.
        shift: displacement of the doubled decode from the decode on the grid, voxels of the source (x, y, z).
    """

    curve: ShellCurve
    lowest_ratio: float | None
    power_beyond: float
    shift: Triple


@dataclass(frozen=True)
class Symmetry:
    """How well the density agrees with itself under the operators of a point group.

    Attributes:
        group: its name.
        decoded: lowest correlation over the operators, of the decoded map.
        source: the same of the source.
        points: how many sample points were compared.
    """

    group: str
    decoded: float
    source: float
    points: int


@dataclass(frozen=True)
class Check:
    """A number held against a limit.

    Attributes:
        name: what was measured.
        value: what was found.
        relation: ">=" or "<=".
        wanted: the limit.
    """

    name: str
    value: float
    relation: str
    wanted: float

    @property
    def holds(self) -> bool:
        """Whether the value keeps the limit; NaN never does."""
        return self.value >= self.wanted if self.relation == ">=" else self.value <= self.wanted

    def __str__(self) -> str:
        return f"{self.name} is {self.value:.4g}, wanted {self.relation} {self.wanted:.4g}"


@dataclass(frozen=True)
class Findings:
    """All that a comparison of a decoded map with its source found.

    Attributes:
        decoded: name of the decoded file.
        source: name of the source.
        grid: where both lie.
        real_space: voxel against voxel.
        fidelity: FSC over the whole box.
        masked: FSC within a mask; None if there was none.
        enveloped: FSC against the source times the envelope of the fit, as the file states it; None if the file
            keeps none.
        power_source: mean squared Fourier amplitude of each shell.
        power_decoded: the same of the decoded map.
        shift: displacement of the decoded map from the source, voxels (x, y, z), from the phases.
        sizes: bytes; None if not given.
        container: the `.nmap` file; None if there is none.
        band_limit: None if the file has none.
        off_grid: None if not asked for.
        symmetry: None if the file has no point group.
        half_maps: findings of `nmap.half_maps`, if half maps were given.
        model: findings of `nmap.map_model`, if a model was given.
        checks: what was held against a limit.
        notes: what the reader of the numbers should know.
    """

    decoded: str
    source: str
    grid: Grid
    real_space: RealSpace
    fidelity: Fidelity
    masked: Fidelity | None
    power_source: F64
    power_decoded: F64
    shift: Triple
    enveloped: Fidelity | None = None
    sizes: Sizes | None = None
    container: Container | None = None
    band_limit: BandLimit | None = None
    off_grid: OffGrid | None = None
    symmetry: Symmetry | None = None
    half_maps: HalfMaps | None = None
    model: MapModel | None = None
    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that do not hold."""
        return tuple(check for check in self.checks if not check.holds)

    @property
    def holds(self) -> bool:
        """Whether every check holds."""
        return not self.failed

    @property
    def doubt(self) -> str:
        """Says so where the two maps have nothing in common, whatever was asked for; else empty."""
        mean, correlation = self.judged.mean, self.real_space.correlation
        if mean >= UNLIKE or correlation >= UNLIKE:
            return ""
        return (
            f"the file does not look like the source: mean fidelity {'FRC' if self.grid.is_flat else 'FSC'} "
            f"{mean:.3f}, correlation {correlation:.3f}: give the map that it was made from"
        )

    @property
    def judged(self) -> Fidelity:
        """The FSC that counts: within a given mask, else what the file itself promises, else over the whole box."""
        return self.masked or self.enveloped or self.fidelity

    def to_json(self) -> dict[str, Any]:
        """The findings as JSON values, as `docs/validate-schema.json` describes them."""
        from nmap.compare.findings_json import findings_json

        return findings_json(self)
