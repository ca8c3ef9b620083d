// The motion of a series: the density at x is that of the molecule at rest at x - d(x); the page model-series-siren.md.

import { inverseCell } from "./geometry.js";
import { Polynomial } from "./polynomial.js";
import { Kernel, REACH } from "./spreading.js";

/** Weights of four nodes at sample i of n, from node `low` on: cubic B-splines; of one node it is 1. */
function spline(i, n, count) {
  if (count === 1) return { at: [0], share: [1] };
  const place = (i * count) / n;
  const low = Math.floor(place);
  const s = place - low;
  const share = [(1 - s) ** 3, 3 * s ** 3 - 6 * s ** 2 + 4, -3 * s ** 3 + 3 * s ** 2 + 3 * s + 1, s ** 3].map((v) => v / 6);
  return { at: [-1, 0, 1, 2].map((step) => (low + step + count) % count), share };
}

/** Numbers in x of the motion at each node along (z, y), summed over four nodes with their weights. */
function summed(values, size, { at, share }, out) {
  out.fill(0);
  at.forEach((node, j) => {
    for (let i = 0; i < size; i++) out[i] += share[j] * values[node * size + i];
  });
}

/**
 * The polynomial of a density whose parts have moved.
 * @param rest the density at rest
 * @param motion {nodes: [mz, my, mx], displacements}: Angstrom along (x, y, z) at each node, in C order
 * @param keep a function (l, k, h) that says which modes are within the band limit
 */
export function movedPolynomial(rest, { nodes, displacements }, lattice, grid, keep) {
  const fine = fineSamples(rest);
  const [nz, ny, nx] = lattice;
  const [, my, mx] = nodes;
  const inverse = inverseCell(grid.cell);
  const rows = [0, 1, 2].map(() => ({ at: new Int32Array(REACH), share: new Float64Array(REACH) }));
  const [byY, byX, here] = [new Float64Array(3 * my * mx), new Float64Array(3 * mx), new Float64Array(3)];
  const splines = lattice.map((n, axis) => Array.from({ length: n }, (_, i) => spline(i, n, nodes[axis])));
  const out = Polynomial.of(lattice, rest.degree, (z, plane) => {
    summed(displacements, 3 * my * mx, splines[0][z], byY);
    for (let y = 0, index = 0; y < ny; y++) {
      summed(byY, 3 * mx, splines[1][y], byX);
      for (let x = 0; x < nx; x++, index++) {
        summed(byX, 3, splines[2][x], here);
        const [a, b, c] = here;
        const fx = x / nx - (inverse[0] * a + inverse[1] * b + inverse[2] * c);
        const fy = y / ny - (inverse[3] * a + inverse[4] * b + inverse[5] * c);
        const fz = z / nz - (inverse[6] * a + inverse[7] * b + inverse[8] * c);
        plane[index] = fine.at(fz, fy, fx, rows);
      }
    }
  });
  const points = nz * ny * nx;
  out.scale((l, k, h) => (keep(l, k, h) ? 1 / points : 0));
  return out;
}

/** A polynomial on a grid twice as fine as it needs, sharpened for the kernel by which it is read anywhere. */
function fineSamples(polynomial) {
  const counts = polynomial.degree.map((k) => Math.max(2 * (2 * k + 1), 2 * REACH));
  const kernels = polynomial.degree.map((k, axis) => new Kernel(counts[axis], k));
  const [tz, ty, tx] = kernels.map((kernel) => kernel.transform());
  const sharp = new Polynomial(polynomial.degree);
  sharp.re.set(polynomial.re);
  sharp.im.set(polynomial.im);
  sharp.scale((l, k, h) => 1 / (tz[Math.abs(l)] * ty[Math.abs(k)] * tx[h]));
  const [, cy, cx] = counts;
  const values = new Float32Array(counts[0] * cy * cx);
  sharp.onGrid(counts.map((count) => ({ first: 0, count, step: 1 / count })), (z, plane) => values.set(plane, z * cy * cx));
  return {
    at(fz, fy, fx, [z, y, x]) {
      kernels[0].around(fz, z);
      kernels[1].around(fy, y);
      kernels[2].around(fx, x);
      let total = 0;
      for (let i = 0; i < REACH; i++) {
        let plane = 0;
        for (let j = 0; j < REACH; j++) {
          const row = (z.at[i] * cy + y.at[j]) * cx;
          let line = 0;
          for (let k = 0; k < REACH; k++) line += x.share[k] * values[row + x.at[k]];
          plane += y.share[j] * line;
        }
        total += z.share[i] * plane;
      }
      return total;
    },
  };
}
