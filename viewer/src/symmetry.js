// Point groups: section 6.3.

import { apply, inverseCell, times } from "./geometry.js";

const P = (1 + Math.sqrt(5)) / 2;
const IDENTITY = [1, 0, 0, 0, 1, 0, 0, 0, 1];
const GENERATORS = {
  T: [[120, [0, 0, 1]], [180, [0, Math.SQRT2, 1]]],
  O: [[90, [0, 0, 1]], [120, [1, 1, 1]]],
  I: [[180, [0, 0, 1]], [72, [1, 0, P]], [120, [0, 1, P * P]]],
  I1: [[180, [0, 0, 1]], [72, [0, 1, P]], [120, [1, 0, P * P]]],
};
const REFERENCE = {
  C: [1, 0.0271828183, 0],
  D: [1, 0.0271828183, 1.0314159265],
  T: [0.3141592654, 0.1271828183, 1],
  O: [0.3141592654, 0.1271828183, 1],
  I: [0.1141592654, 0.0771828183, 1],
  I1: [0.0771828183, 0.1141592654, 1],
};

/** Whether a text names a point group. */
export function isGroup(name) {
  return /^([CD][1-9][0-9]?|T|O|I|I1|I2)$/.test(name);
}

/** Rotations and reference direction of a point group. */
export function pointGroup(name) {
  const key = name === "I2" ? "I" : /^[CD]/.test(name) ? name[0] : name;
  let generators = GENERATORS[key];
  if (!generators) {
    generators = [[360 / Number(name.slice(1)), [0, 0, 1]]];
    if (key === "D") generators.push([180, [1, 0, 0]]);
  }
  const matrices = generators.map(([degrees, axis]) => rotation(degrees, axis));
  const turns = [IDENTITY];
  for (const known of turns) {
    for (const matrix of matrices) {
      const turn = times(matrix, known);
      if (!turns.some((other) => other.every((v, i) => Math.abs(v - turn[i]) < 1e-6))) turns.push(turn);
    }
  }
  return { turns, reference: REFERENCE[key] };
}

/** Right-handed rotation about an axis, by Rodrigues' formula. */
function rotation(degrees, axis) {
  const [x, y, z] = axis.map((v) => v / Math.hypot(...axis));
  const cross = [0, -z, y, z, 0, -x, -y, x, 0];
  const twice = times(cross, cross);
  const angle = (degrees * Math.PI) / 180;
  return IDENTITY.map((v, i) => v + Math.sin(angle) * cross[i] + (1 - Math.cos(angle)) * twice[i]);
}

/**
 * The group's rotations as maps of box fractions: (f_x, f_y, f_z) to matrix times it plus shift.
 * @returns a list of {matrix, shift, direction}; the copy with the largest dot product of direction and
 *   (f - pivot) is S of section 6.3
 */
export function foldings(grid, symmetry) {
  const inverse = inverseCell(grid.cell);
  const { turns, reference } = pointGroup(symmetry.group);
  const pivot = apply(inverse, symmetry.center);
  return turns.map((turn) => {
    const matrix = times(inverse, times(turn, grid.cell));
    const moved = apply(matrix, pivot);
    const row = [0, 1, 2].map((j) => reference.reduce((sum, r, i) => sum + r * turn[3 * i + j], 0));
    const direction = [0, 1, 2].map((j) => row.reduce((sum, r, i) => sum + r * grid.cell[3 * i + j], 0));
    const level = direction.reduce((sum, d, i) => sum + d * pivot[i], 0);
    return { matrix, shift: pivot.map((v, i) => v - moved[i]), direction, level };
  });
}
