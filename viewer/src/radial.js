// The model kind `radial-basis`: coefficients of bumps on lattice sites and on their copies.

import { FormatError } from "./errors.js";
import { Polynomial } from "./polynomial.js";
import { Kernel, REACH } from "./spreading.js";
import { foldings } from "./symmetry.js";

/** What the page says MUST be, as part of check 13. */
export function checkRadialBasis({ band, lattice }, tensors) {
  const refuse = (message) => {
    throw new FormatError(13, message);
  };
  if (!band || !lattice) refuse("radial-basis without band limit or lattice");
  const weights = tensors.get("weights");
  if (!weights) refuse('tensor "weights" is missing');
  if (weights.shape.length !== 3 || weights.shape.some((n, i) => n !== lattice[i])) {
    refuse(`weights of shape [${weights.shape}], wanted the lattice [${lattice}]`);
  }
  if (lattice.some((n) => n % 4)) refuse(`a lattice of [${lattice}], wanted multiples of 4`);
  lattice.forEach((n, axis) => {
    if (n < 2.8 * band.degree[axis] - 1e-9) refuse(`a lattice of ${n}, wanted 2.8 times the highest frequency ${band.degree[axis]}`);
  });
  let at = 0;
  for (let z = 0; z < lattice[0]; z++) {
    for (let y = 0; y < lattice[1]; y++) {
      for (let x = 0; x < lattice[2]; x++) {
        const isSite = (z & 1) === (y & 1) && (y & 1) === (x & 1);
        if (weights.values[at++] !== 0 && !isSite) refuse(`a weight beside the sites, at ${z} ${y} ${x}`);
      }
    }
  }
}

/** Coefficients of all copies, on the modes up to the degree. */
export function radialCoefficients({ grid, symmetry, lattice, band }, weights) {
  const [, ny, nx] = lattice;
  if (!symmetry || symmetry.group === "C1") {
    return Polynomial.of(lattice, band.degree, (z, out) => out.set(weights.subarray(z * ny * nx, (z + 1) * ny * nx)));
  }
  const kernels = lattice.map((n, axis) => new Kernel(n, band.degree[axis]));
  const spread = spreadCopies(weights, lattice, foldings(grid, symmetry), kernels);
  const out = Polynomial.of(lattice, band.degree, (z, plane) => plane.set(spread.subarray(z * ny * nx, (z + 1) * ny * nx)));
  const [z, y, x] = kernels.map((kernel) => kernel.transform());
  out.scale((l, k, h) => 1 / (z[Math.abs(l)] * y[Math.abs(k)] * x[h]));
  return out;
}

/** Adds every copy to the lattice points around it. */
function spreadCopies(weights, lattice, turns, kernels) {
  const [nz, ny, nx] = lattice;
  const out = new Float32Array(nz * ny * nx);
  const rows = lattice.map(() => ({ at: new Int32Array(REACH), share: new Float64Array(REACH) }));
  for (let index = 0; index < weights.length; index++) {
    const weight = weights[index];
    if (!weight) continue;
    const x = (index % nx) / nx;
    const y = (Math.floor(index / nx) % ny) / ny;
    const z = Math.floor(index / (nx * ny)) / nz;
    for (const { matrix: m, shift } of turns) {
      kernels[2].around(m[0] * x + m[1] * y + m[2] * z + shift[0], rows[2]);
      kernels[1].around(m[3] * x + m[4] * y + m[5] * z + shift[1], rows[1]);
      kernels[0].around(m[6] * x + m[7] * y + m[8] * z + shift[2], rows[0]);
      addBlock(out, weight, rows, ny, nx);
    }
  }
  return out;
}

function addBlock(out, weight, [z, y, x], ny, nx) {
  for (let i = 0; i < REACH; i++) {
    for (let j = 0; j < REACH; j++) {
      const share = weight * z.share[i] * y.share[j];
      const row = (z.at[i] * ny + y.at[j]) * nx;
      for (let k = 0; k < REACH; k++) out[row + x.at[k]] += share * x.share[k];
    }
  }
}
