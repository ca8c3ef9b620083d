// The coding `lattice`: whole numbers on the sites of a body-centred cubic lattice.

import { FormatError } from "./errors.js";
import { RangeDecoder, decodeOccupancy } from "./occupancy.js";

const MAX_POINTS = 2 ** 29;
const MAX_BLOCKS = 2 ** 20;
// What a stream of so many bytes may hold.
const mostSites = (bytes) => Math.min(2 ** 26, 2 ** 18 + 64 * bytes);
const mostWeights = (bytes) => Math.min(2 ** 25, 2 ** 12 + 8 * bytes);
const mostSum = (bytes) => Math.min(2 ** 27, 2 ** 19 + 128 * bytes);
const MAX_BEYOND = 64;
const PLACES = [[0, 0, 0], [1, 1, 1], [0, 1, 1], [1, 0, 0], [1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 1]];
const FIRST = [0, 1].flatMap((odd) => PLACES.map((place) => place.map((n) => 2 * n + odd)));
const GROUP = [0, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5];
const WEIGHT = { 3: 32, 4: 45, 8: 45, 11: 16, 12: 51 };
const THRESHOLDS = [8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512, 724, 1024, 1448, 2048, 2896, 4096];
const CLASSES = THRESHOLDS.length + 1;
// Counts of contexts lie one after the other: zero(G, A), sign(S), size(A, k).
const SIGN = 6 * CLASSES;
const SIZE = SIGN + 3;
// Zeros around the lattice, as far as an offset reaches.
const BORDER = 3;

const product = (shape) => shape.reduce((a, b) => a * b, 1);
const blockGrid = (shape) => shape.map((n) => Math.ceil(n / 8));

/** Checks 10 and 11 of a lattice's shape. */
export function checkLattice(name, shape) {
  if (shape.length !== 3 || shape.some((n) => n % 4)) throw new FormatError(10, `coding of "${name}" has shape [${shape}], wanted three multiples of 4`);
  if (product(shape) > MAX_POINTS) throw new FormatError(11, `coding of "${name}" has ${product(shape)} points in all, at most ${MAX_POINTS}`);
  const blocks = product(blockGrid(shape));
  if (blocks > MAX_BLOCKS) throw new FormatError(11, `coding of "${name}" has ${blocks} blocks, at most ${MAX_BLOCKS}`);
}

/** Offsets of squared length D between sites. */
function offsets(squared) {
  const out = [];
  for (let z = -3; z <= 3; z++) {
    for (let y = -3; y <= 3; y++) {
      for (let x = -3; x <= 3; x++) {
        const isSite = (z & 1) === (y & 1) && (y & 1) === (x & 1);
        if (isSite && z * z + y * y + x * x === squared) out.push([z, y, x]);
      }
    }
  }
  return out;
}

function isqrt(n) {
  let root = Math.floor(Math.sqrt(n));
  while (root * root > n) root--;
  while ((root + 1) * (root + 1) <= n) root++;
  return root;
}

/** The stage that a point of the lattice belongs to. */
function stageOf(point) {
  const place = point.map((n) => ((n % 4) + 4) % 4);
  return FIRST.findIndex((first) => first.every((n, i) => n === place[i]));
}

/** For a stage: rings of steps to earlier sites, with the weight and root of the activity. */
function rings(stage, wz, wy) {
  return Object.entries(WEIGHT).flatMap(([squared, weight]) => {
    const earlier = offsets(Number(squared)).filter((step) => stageOf(step.map((d, i) => d + FIRST[stage][i])) < stage);
    if (!earlier.length) return [];
    const steps = Int32Array.from(earlier, ([z, y, x]) => z * wz + y * wy + x);
    return [{ steps, weight: 4 * weight, root: isqrt(16 * earlier.length) }];
  });
}

/** Weights (nz, ny, nx), one signed byte each, in C order. */
export function decodeLattice(stream, blockBytes, shape) {
  const coded = decodeOccupancy(blockBytes, blockGrid(shape));
  checkSites(coded, shape, mostSites(stream.length));
  const [nz, ny, nx] = shape;
  const [, by, bx] = blockGrid(shape);
  const wy = nx + 2 * BORDER;
  const wz = (ny + 2 * BORDER) * wy;
  const values = new Int8Array((nz + 2 * BORDER) * wz);
  const sizes = new Values(stream);
  const near = Int32Array.from(offsets(4), ([z, y, x]) => z * wz + y * wy + x);
  for (let stage = 0; stage < 16; stage++) {
    const [z0, y0, x0] = FIRST[stage];
    const known = rings(stage, wz, wy);
    for (let z = z0; z < nz; z += 4) {
      for (let y = y0; y < ny; y += 4) {
        const row = ((z >> 3) * by + (y >> 3)) * bx;
        const start = (z + BORDER) * wz + (y + BORDER) * wy + BORDER;
        for (let x = x0; x < nx; x += 4) {
          if (!coded[row + (x >> 3)]) continue;
          const at = start + x;
          values[at] = sizes.next(GROUP[stage], activity(values, at, known), values, at, near);
        }
      }
    }
  }
  return unbordered(values, shape);
}

function activity(values, at, known) {
  let out = 0;
  for (let r = 0; r < known.length; r++) {
    const { steps, weight, root } = known[r];
    let total = 0;
    for (let i = 0; i < steps.length; i++) total += Math.abs(values[at + steps[i]]);
    if (total) out += Math.floor((total * weight) / root);
  }
  return out;
}

/** Reads one weight after the other, and holds them against the limits of the page. */
class Values {
  constructor(stream) {
    this.coder = new RangeDecoder(stream);
    this.zeros = new Int32Array(SIZE + 16 * CLASSES).fill(1);
    this.ones = new Int32Array(SIZE + 16 * CLASSES).fill(1);
    this.sum = 0;
    this.weights = 0;
    this.mostSum = mostSum(stream.length);
    this.mostWeights = mostWeights(stream.length);
  }

  bit(context) {
    const { zeros, ones } = this;
    const z = zeros[context];
    const o = ones[context];
    const bit = this.coder.bit(Math.min(Math.max(Math.floor((65536 * o) / (z + o)), 32), 65504));
    const counts = bit ? ones : zeros;
    if ((counts[context] += 2) > 1024) {
      zeros[context] = (zeros[context] + 1) >> 1;
      ones[context] = (ones[context] + 1) >> 1;
    }
    return bit;
  }

  next(group, active, values, at, near) {
    let a = 0;
    while (a < THRESHOLDS.length && THRESHOLDS[a] <= active) a++;
    const isZero = !this.bit(group * CLASSES + a);
    if (this.coder.beyond > MAX_BEYOND) throw new FormatError(11, "the stream of the weights ends too early");
    if (isZero) return 0;
    let sum = 0;
    for (let i = 0; i < near.length; i++) sum += values[at + near[i]];
    const isPositive = this.bit(SIGN + 1 + Math.sign(sum));
    let size = 1;
    while (size <= 126 && this.bit(SIZE + 16 * a + Math.min(size, 16) - 1)) size++;
    if (this.coder.beyond > MAX_BEYOND) throw new FormatError(11, "the stream of the weights ends too early");
    this.sum += size;
    if (this.sum > this.mostSum) throw new FormatError(11, `absolute values of the weights add up to more than ${this.mostSum}`);
    if (++this.weights > this.mostWeights) throw new FormatError(11, `more than ${this.mostWeights} weights that are not 0`);
    return isPositive ? size : -size;
  }
}

/** No more sites than these may be coded. */
function checkSites(coded, shape, most) {
  const [bz, by, bx] = blockGrid(shape);
  // Even and odd indices of a block along an axis; the last block may be half as long.
  const halves = (axis, block) => Math.min(8, shape[axis] - 8 * block) / 2;
  let sites = 0;
  for (let z = 0, at = 0; z < bz; z++) {
    for (let y = 0; y < by; y++) {
      for (let x = 0; x < bx; x++) sites += coded[at++] && 2 * halves(0, z) * halves(1, y) * halves(2, x);
    }
  }
  if (sites > most) throw new FormatError(11, `${sites} sites in coded blocks, at most ${most}`);
}

function unbordered(values, [nz, ny, nx]) {
  const wy = nx + 2 * BORDER;
  const out = new Int8Array(nz * ny * nx);
  for (let z = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) {
      const start = ((z + BORDER) * (ny + 2 * BORDER) + y + BORDER) * wy + BORDER;
      out.set(values.subarray(start, start + nx), (z * ny + y) * nx);
    }
  }
  return out;
}
