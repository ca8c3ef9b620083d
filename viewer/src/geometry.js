// Where things lie: section 6.1, and the shells of section 6.4. Matrices are nine numbers, row by row.

/** Cell edges as columns (x, y, z), Angstrom; null if the angles make no cell. */
export function cellMatrix([a, b, c], angles) {
  const isRight = angles.every((angle) => angle === 90);
  const [ca, cb, cg] = isRight ? [0, 0, 0] : angles.map((angle) => Math.cos((angle * Math.PI) / 180));
  const sg = isRight ? 1 : Math.sin((angles[2] * Math.PI) / 180);
  const q = (ca - cb * cg) / sg;
  const height = 1 - cb * cb - q * q;
  // sin gamma times the height is the volume over the product of the edges.
  if (!(height > 0 && sg * Math.sqrt(height) > 1e-6)) return null;
  return [a, b * cg, c * cb, 0, b * sg, c * q, 0, 0, c * Math.sqrt(height)];
}

/** Inverse of an upper triangular matrix, as cells are. */
export function inverseCell([a, b, c, , d, e, , , f]) {
  return [1 / a, -b / (a * d), (b * e - c * d) / (a * d * f), 0, 1 / d, -e / (d * f), 0, 0, 1 / f];
}

/** Matrix times matrix. */
export function times(m, n) {
  const out = new Array(9);
  for (let i = 0; i < 3; i++) {
    for (let j = 0; j < 3; j++) out[3 * i + j] = m[3 * i] * n[j] + m[3 * i + 1] * n[3 + j] + m[3 * i + 2] * n[6 + j];
  }
  return out;
}

/** Matrix times column vector. */
export function apply(m, [x, y, z]) {
  return [m[0] * x + m[1] * y + m[2] * z, m[3] * x + m[4] * y + m[5] * z, m[6] * x + m[7] * y + m[8] * z];
}

/** Shell width (1/Angstrom), last shell, and highest frequency along (z, y, x) of shells up to it. */
export function frequencies(grid, bandLimit) {
  const width = 1 / Math.max(...grid.edges);
  const lastShell = Math.floor(1 / (bandLimit * width) + 1e-6);
  const degree = [2, 1, 0].map((axis) => Math.floor((lastShell + 0.5) * width * grid.edges[axis]));
  return { width, lastShell, degree };
}

/** A function (h, k, l) to shell number, of modes along (x, y, z). */
export function shellOf(grid, width) {
  const [a, , , b, d, , c, e, f] = transposed(inverseCell(grid.cell));
  return (h, k, l) => {
    const x = a * h;
    const y = b * h + d * k;
    const z = c * h + e * k + f * l;
    return Math.floor(Math.sqrt(x * x + y * y + z * z) / width + 0.5 + 1e-6);
  };
}

function transposed([a, b, c, d, e, f, g, h, i]) {
  return [a, d, g, b, e, h, c, f, i];
}
