"""A decoder of .nmap files, written from nmap-1.0.md alone: numpy and the standard library, float64.

    python reference_reader.py FILE X Y Z      density at a position, Angstrom

It is meant to be read. It gives the values of valid files; refusing bad ones is left to real readers.
"""

import hashlib
import json
import sys

import numpy as np

BESIDE, BLOCKS, SERIES = (f"reference_{kind}" for kind in ("radial_basis", "block_siren", "series"))
TYPES, P = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "U8": "u1"}, (1 + np.sqrt(5)) / 2
GENERATORS = {
    "T": [(120, (0, 0, 1)), (180, (0, np.sqrt(2), 1))],
    "O": [(90, (0, 0, 1)), (120, (1, 1, 1))],
    "I": [(180, (0, 0, 1)), (72, (1, 0, P)), (120, (0, 1, P * P))],
    "I1": [(180, (0, 0, 1)), (72, (0, 1, P)), (120, (1, 0, P * P))],
}
REFERENCE = {"C": (1, 0.0271828183, 0), "D": (1, 0.0271828183, 1.0314159265)}
REFERENCE |= dict.fromkeys("TO", (0.3141592654, 0.1271828183, 1))
REFERENCE |= {"I": (0.1141592654, 0.0771828183, 1), "I1": (0.0771828183, 0.1141592654, 1)}


class Map:
    """The density of a file: `metadata`, decoded `tensors`, and `sample`."""

    def __init__(self, data: bytes, at: float | None = None) -> None:
        """Read a file's bytes; sections 1 to 4. `at`: position on the axis of a series."""
        n = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + n])
        text = header.pop("__metadata__")["nmap"]
        self.metadata, self.at = json.loads(text), at
        stored, sums = {}, hashlib.sha256(text.replace(self.metadata["sha256"], "0" * 64, 1).encode())
        for name, entry in sorted(i for i in header.items() if i[0] != "record" and i[0][:5] != "hdf5."):
            begin, end = (8 + n + offset for offset in entry["data_offsets"])
            stored[name] = np.frombuffer(data[begin:end], TYPES[entry["dtype"]]).reshape(entry["shape"])
            if entry["dtype"] == "BF16":
                stored[name] = (stored[name].astype(np.uint32) << 16).view(np.float32)
            line = f"{name} {entry['dtype']} {','.join(map(str, entry['shape']))}\n"
            sums.update(line.encode() + data[begin:end])
        assert sums.hexdigest() == self.metadata["sha256"], "the checksum does not fit"
        self.tensors = self._decoded(stored)
        grid = self.metadata["grid"]
        self.shape, self.voxel = np.array(grid["shape"]), np.array(grid["voxel_size"], float)
        self.origin, self._filtered = np.array(grid.get("origin", (0, 0, 0)), float), None
        self.edges = self.shape[::-1] * self.voxel
        self.cell = cell(grid.get("angles", (90, 90, 90))) * self.edges

    def _decoded(self, stored):
        """Section 3."""
        for name, coding in self.metadata.get("codings", {}).items():
            beside = stored.pop(name + ".step", stored.pop(name + ".blocks", None))
            stored[name] = CODINGS[coding["coding"]](stored[name], coding, beside)
        return {name: np.asarray(array, float) for name, array in stored.items()}

    def on_grid(self, shape) -> np.ndarray:
        """The same map at `shape` samples (z, y, x) over the box, (n,) in C order; section 6.6."""
        f = np.indices(shape).reshape(3, -1).T / shape
        return self.sample(f[:, ::-1] @ self.cell.T + self.origin, np.array(shape) / 2)

    def sample(self, points, held=(np.inf,) * 3) -> np.ndarray:
        """Density at points (n, 3), Cartesian (x, y, z) in Angstrom; section 6."""
        f = (np.linalg.inv(self.cell) @ (np.asarray(points, float) - self.origin).T).T[:, ::-1]
        values = self.product(f) if "band_limit" not in self.metadata else self.band_limited(f, held)
        inside = ((f >= -1e-3 / self.shape) & (f < 1 - 1e-3 / self.shape)).all(1)
        return np.where(inside, self.metadata.get("scale", 1) * values, 0) + self.metadata.get("offset", 0)

    def product(self, f):
        """Envelope times network at box fractions (n, 3), sections 6.1 to 6.3."""
        if "symmetry" in self.metadata:
            center = np.array(self.metadata["symmetry"]["center"], float)
            turns, direction = group(self.metadata["symmetry"]["group"])
            copies = np.einsum("rij,nj->rni", turns, f[:, ::-1] @ self.cell.T - center)
            best = np.argmax(copies @ direction, axis=0)
            folded = copies[best, np.arange(len(f))] + center
            f = (folded @ np.linalg.inv(self.cell).T)[:, ::-1]
        frame = self.metadata.get("frame", {})
        center, half = (np.array(frame.get(key, (0.5,) * 3)) for key in ("center", "half_width"))
        return self.envelope(f) * self.network((f - center) / half, f)

    def envelope(self, f):
        """Section 6.2."""
        if "envelope" not in self.tensors:
            return 1.0
        bits, v = self.tensors["envelope"], 0.0
        low, weight = np.floor(f * bits.shape).astype(int), f * bits.shape % 1
        for corner in np.ndindex(2, 2, 2):
            z, y, x = ((low + corner) % bits.shape).T
            v = v + np.where(corner, weight, 1 - weight).prod(1) * bits[z, y, x]
        return v * v * (3 - 2 * v)

    def network(self, t, f):
        """The pages of the model kinds; `f` are the folded box fractions of `t`."""
        if (model := self.metadata["model"])["kind"] in ("block-siren", "series-siren"):
            return __import__(BLOCKS).values(self, f, t, group)
        w = self.tensors
        layers = [(w["first.weight"], w["first.bias"])]
        layers += zip(w["hidden.weight"], w["hidden.bias"], strict=True)
        if model["kind"] == "siren":
            h = t
            for omega, (weight, bias) in zip(model["omegas"], layers, strict=False):
                h = np.sin(omega * (h @ weight.T + bias))
        else:
            assert model["kind"] == "fourier-features", "unknown model kind"
            phase = 2 * np.pi * t @ w["frequencies"].T
            h = np.concatenate((w["amplitudes"] * np.cos(phase), w["amplitudes"] * np.sin(phase)), 1)
            for weight, bias in layers:
                h = np.maximum(h @ weight.T + bias, 0)
        u = (h @ w["last.weight"].T + w["last.bias"])[:, 0]
        return np.sin(model["omegas"][-1] * u) if model.get("output") == "sine" else u

    def band_limited(self, f, held):
        """Section 6.4: the polynomial at box fractions (n, 3), of modes up to `held` along each axis."""
        if self._filtered is None:
            n = self.metadata["lattice"]
            self._k = [np.fft.fftfreq(m, 1 / m) for m in n]
            if self.metadata["model"]["kind"] == "radial-basis":
                spectrum = __import__(BESIDE).coefficients(self, group) / np.prod(n)
            else:
                lattice = np.indices(n).reshape(3, -1).T / n
                spectrum = np.fft.fftn(self.product(lattice).reshape(n)) / np.prod(n)
            modes = np.stack(np.meshgrid(*self._k, indexing="ij")[::-1], -1) @ np.linalg.inv(self.cell)
            shell = (np.linalg.norm(modes, axis=-1) * self.edges.max() + 0.500001).astype(int)
            gains = np.ones(int(self.edges.max() / self.metadata["band_limit"] + 1e-6) + 1)
            gains = np.append(self.tensors.get("gains", gains), np.zeros(shell.max()))
            self._filtered = spectrum * gains[shell]
            if "nodes" in self.metadata["model"]:
                self._filtered = __import__(SERIES).moved(self, shell, self.edges.max())
        e = [np.exp(2j * np.pi * np.outer(f.T[a], k)) * (abs(k) <= held[a]) for a, k in enumerate(self._k)]
        return np.einsum("nz,ny,nx,zyx->n", *e, self._filtered, optimize=True).real


def cell(angles):
    """Unit cell edges as columns (x, y, z); section 6.1."""
    (ca, cb, cg), sg = np.cos(np.radians(angles)), np.sin(np.radians(angles[2]))
    q = (ca - cb * cg) / sg
    return np.array([[1, cg, cb], [0, sg, q], [0, 0, np.sqrt(1 - cb * cb - q * q)]])


def group(name):
    """Rotations (k, 3, 3) and reference direction of a point group; section 6.3."""
    name = "I" if name == "I2" else name
    axial = [(360 / int(name[1:]), (0, 0, 1)), (180, (1, 0, 0))] if name[0] in "CD" else []
    generators = GENERATORS.get(name, axial[:1] if name[0] == "C" else axial)
    turns = [np.eye(3)]
    for known in turns:
        for degrees, axis in generators:
            x, y, z = np.array(axis) / np.linalg.norm(axis)
            cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
            a = np.radians(degrees)
            turn = (np.eye(3) + np.sin(a) * cross + (1 - np.cos(a)) * cross @ cross) @ known
            if not any(np.allclose(turn, t, atol=1e-6) for t in turns):
                turns.append(turn)
    return np.array(turns), np.array(REFERENCE[name if name in REFERENCE else name[0]], float)


def uniform(packed, coding, steps):
    """The page coding-uniform.md."""
    bits, shape = coding["bits"], coding["shape"]
    each = np.unpackbits(packed, count=int(np.prod(shape)) * bits, bitorder="little").reshape(-1, bits)
    level = each @ (1 << np.arange(bits)) - (1 << (bits - 1))
    return (level.reshape(shape) * steps.astype(np.float32)[..., None]).astype(np.float32)


def log(array, coding, _):
    """The page coding-log.md."""
    return np.where(array > 0, np.float32(2 ** (coding["low"] + coding["step"] * array.astype(float))), 0)


def occupancy(array, coding, _):
    """The page coding-occupancy.md."""
    shape = coding["shape"]
    cells, counts = np.zeros([n + 2 for n in shape], int), np.zeros((64, 2), int).tolist()
    stream = iter(array.tobytes() + bytes(4 + 8 * int(np.prod(shape))))
    low, high, code = 0, 0xFFFFFFFF, int.from_bytes([next(stream) for _ in range(4)], "big")
    near = [(0, 0, -1), (0, -1, 0), (-1, 0, 0), (0, -1, 1), (-1, 0, 1), (-1, 1, 0)]
    for z, y, x in np.ndindex(*shape):
        context = sum(int(cells[z + 1 + a, y + 1 + b, x + 1 + c]) << i for i, (a, b, c) in enumerate(near))
        zeros, ones = counts[context]
        chance = min(max(65536 * (4 * ones + 1) // (4 * (zeros + ones) + 2), 32), 65504)
        middle = low + (high - low) * chance // 65536
        bit = int(code <= middle)
        low, high = (low, middle) if bit else (middle + 1, high)
        counts[context][bit] += 1
        cells[z + 1, y + 1, x + 1] = bit
        while low >> 24 == high >> 24:
            low, high = low << 8 & 0xFFFFFFFF, (high << 8 & 0xFFFFFFFF) + 255
            code = (code << 8 & 0xFFFFFFFF) + next(stream)
    return cells[1:-1, 1:-1, 1:-1]


CODINGS = {"float": lambda array, *_: array, "uniform": uniform, "log": log, "occupancy": occupancy}
CODINGS["lattice"] = lambda *stored: __import__(BESIDE).whole_numbers(*stored, occupancy)
CODINGS["matrices"] = lambda *stored: __import__(BLOCKS).numbers(*stored)

if __name__ == "__main__":
    print(Map(np.fromfile(sys.argv[1], "u1").tobytes()).sample([[float(v) for v in sys.argv[2:5]]])[0])
