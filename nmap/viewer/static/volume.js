// A decoded density as a Mol* volume, cut to the part that a surface needs: nothing is copied.

/** Indices (x, y, z) of the smallest box of samples at or above a level, with a border; null if there are none. */
export function boxAbove({ values, shape }, level) {
  const [nz, ny, nx] = shape;
  const low = [nx, ny, nz];
  const high = [-1, -1, -1];
  for (let z = 0, at = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++, at += nx) {
      let first = 0;
      while (first < nx && values[at + first] < level) first++;
      if (first === nx) continue;
      let last = nx - 1;
      while (values[at + last] < level) last--;
      if (first < low[0]) low[0] = first;
      if (last > high[0]) high[0] = last;
      if (y < low[1]) low[1] = y;
      if (y > high[1]) high[1] = y;
      if (z < low[2]) low[2] = z;
      high[2] = z;
    }
  }
  if (high[2] < 0) return null;
  return { from: low.map((n) => Math.max(0, n - 2)), to: high.map((n, i) => Math.min([nx, ny, nz][i], n + 3)) };
}

/**
 * @param molstar the library
 * @param density values (z, y, x), shape, origin, axes, statistics
 * @param box {from, to} as of `boxAbove`
 */
export function volumeOf(molstar, density, { from, to }, label) {
  const { Volume } = molstar.lib.volume;
  const { Mat4 } = molstar.lib.math.LinearAlgebra;
  const { values, shape, origin, axes, statistics } = density;
  const [, ny, nx] = shape;
  const dimensions = to.map((n, i) => n - from[i]);
  const start = from[0] + nx * (from[1] + ny * from[2]);
  const space = {
    rank: 3,
    dimensions,
    axisOrderSlowToFast: [2, 1, 0],
    create: () => new Float32Array(dimensions[0] * dimensions[1] * dimensions[2]),
    get: (data, i, j, k) => data[start + i + nx * (j + ny * k)],
    set: (data, i, j, k, value) => (data[start + i + nx * (j + ny * k)] = value),
    add: (data, i, j, k, value) => (data[start + i + nx * (j + ny * k)] += value),
    dataOffset: (i, j, k) => start + i + nx * (j + ny * k),
    getCoords: (offset, out) => {
      out[0] = (offset % nx) - from[0];
      out[1] = (Math.floor(offset / nx) % ny) - from[1];
      out[2] = Math.floor(offset / (nx * ny)) - from[2];
      return out;
    },
  };
  const corner = origin.map((o, i) => o + from.reduce((sum, n, axis) => sum + n * axes[axis][i], 0));
  const matrix = Mat4.fromArray(Mat4(), [...axes[0], 0, ...axes[1], 0, ...axes[2], 0, ...corner, 1], 0);
  const { min, max, mean, sigma } = statistics;
  return {
    label,
    grid: {
      transform: { kind: "matrix", matrix },
      cells: { space, data: values },
      stats: { min, max, mean, sigma },
      periodicity: "none",
    },
    instances: [{ transform: Mat4.identity() }],
    sourceData: { kind: "nmap", name: label, data: {} },
    customProperties: new Volume.One.customProperties.constructor(),
    _propertyData: Object.create(null),
    _localPropertyData: Object.create(null),
  };
}
