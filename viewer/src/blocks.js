// The model kind `block-siren`: a SIREN for each block of lattice points, with values on the lattice only.

import { FormatError, shown } from "./errors.js";
import { BATCH } from "./layers.js";

const LIMITS = { blocks: [1, 2 ** 20], width: [1, 1024], hidden: [0, 16], code: [1, 1024], waves: [-1, 64] };
// Share of a lattice step by which a folded position may be ahead.
const MARGIN = 1e-4;
const HALF = 0.500001;
// Folded positions this near to a lattice plane, in steps, lie in it.
const ON_PLANE = 1e-6;
const WAVE = 0.75 * Math.PI;

function refuse(message) {
  throw new FormatError(13, message);
}

/** Rows and columns of the matrices in the tensor, but for the waves' amplitudes. */
export function shapesOf({ blocks, width: w, hidden, code }) {
  const layers = Array.from({ length: hidden + 1 });
  const trunk = layers.map((_, l) => [w, l ? w : 3]);
  const bases = [...layers.map(() => [w, 1]), [w + 1, 1]];
  return [...trunk, ...bases, ...bases.map(([n]) => [code, n]), [blocks, code]];
}

/** That the sizes of a network are whole numbers within the limits. */
export function checkSizes(model) {
  for (const [name, [low, high]] of Object.entries(LIMITS)) {
    if (!Number.isInteger(model[name]) || model[name] < low || model[name] > high) {
      refuse(`model.${name} is ${shown(model[name])}, wanted a whole number from ${low} to ${high}`);
    }
  }
}

/** Check 13 of this kind. */
export function checkBlocks({ model, band, lattice }, tensors) {
  if (!band || !lattice) refuse("block-siren without band limit or lattice");
  checkSizes(model);
  const { omegas, hidden, radius } = model;
  if (!Array.isArray(omegas) || omegas.length !== hidden + 1) refuse(`model.omegas is ${shown(omegas)}, wanted ${hidden + 1} numbers`);
  if (typeof radius !== "number" || !(radius > 0)) refuse(`model.radius is ${shown(radius)}, wanted a positive number`);
  const network = tensors.get("network");
  if (!network) refuse('tensor "network" is missing');
  if (network.shape.length !== 1) refuse(`tensor "network" has shape [${network.shape}], wanted one axis`);
  const plain = shapesOf(model).reduce((sum, [rows, columns]) => sum + rows * columns, 0);
  const wanted = Math.max(2 * waveVectors(model.waves, lattice).length - 1, 0);
  if (network.shape[0] < plain) refuse(`tensor "network" has ${network.shape[0]} numbers, wanted ${plain} or more`);
  if (network.shape[0] !== plain + wanted) refuse(`tensor "network" has ${network.shape[0] - plain} amplitudes, wanted ${wanted}`);
}

function waveVectors(longest, lattice) {
  if (longest < 0) return [];
  const reach = Math.floor(Math.sqrt(longest));
  const [rz, ry, rx] = lattice.map((n) => (n > 1 ? reach : 0));
  const out = [];
  for (let z = 0; z <= rz; z++) {
    for (let y = z ? -ry : 0; y <= ry; y++) {
      for (let x = z || y ? -rx : 0; x <= rx; x++) if (z * z + y * y + x * x <= longest) out.push([z, y, x]);
    }
  }
  return out;
}

/** m . u on the whole lattice, in C order. */
export function blockValues(metadata, tensors, field, Layers) {
  const { lattice } = metadata;
  const places = placesOf(metadata, field);
  const tree = new Tree(places.own, metadata.model.blocks, lattice);
  const out = new Float32Array(lattice[0] * lattice[1] * lattice[2]);
  const network = new BlockNetwork(metadata, tensors, Layers);
  for (const { block, members } of tree.grouped(places)) {
    network.setBlock(block);
    for (let start = 0; start < members.length; start += BATCH) {
      network.fill(places, members.subarray(start, start + BATCH), tree.centers[block], out);
    }
  }
  return out;
}

/** Points inside: flat index, envelope, and folded position in steps of the lattice; `own`, those that make blocks. */
function placesOf({ lattice, grid }, field) {
  const [nz, ny, nx] = lattice;
  const isInside = insideTest(field.envelope, lattice);
  const step = Math.min(...[0, 1, 2].map((axis) => grid.edges[axis] / lattice[2 - axis]));
  const flat = [];
  const share = [];
  const steps = [];
  const own = [];
  for (let z = 0, index = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) {
      for (let x = 0; x < nx; x++, index++) {
        const ahead = field.turns ? field.fold(z / nz, y / ny, x / nx) : 0;
        const at = field.turns ? field.at.map((f, axis) => f * lattice[axis]) : [z, y, x];
        if (!isInside(at)) continue;
        flat.push(index);
        share.push(field.envelope ? field.shareAt(at[0] / nz, at[1] / ny, at[2] / nx) : 1);
        steps.push(at[0], at[1], at[2]);
        if (ahead < MARGIN * step) own.push(index);
      }
    }
  }
  return { flat, share, steps, own: Int32Array.from(own) };
}

/** A function of a position in steps: whether an envelope's bit is set at a node where it lies, or beside it. */
function insideTest(envelope, lattice) {
  if (!envelope) return () => true;
  const { values, shape } = envelope;
  const low = [0, 0, 0];
  const high = [0, 0, 0];
  return (place) => {
    for (let axis = 0; axis < 3; axis++) {
      const k = shape[axis];
      const n = lattice[axis];
      const whole = Math.round(place[axis]);
      const isWhole = Math.abs(place[axis] - whole) < ON_PLANE;
      const node = Math.floor(((isWhole ? whole : place[axis]) * k) / n);
      low[axis] = ((node % k) + k) % k;
      high[axis] = isWhole && (whole * k) % n === 0 ? low[axis] : (low[axis] + 1) % k;
    }
    for (let corner = 0; corner < 8; corner++) {
      const [z, y, x] = [corner & 4 ? high[0] : low[0], corner & 2 ? high[1] : low[1], corner & 1 ? high[2] : low[2]];
      if (values[(z * shape[1] + y) * shape[2] + x]) return true;
    }
    return false;
  };
}

/** The blocks: a set of points is cut across its longest axis, again and again. */
class Tree {
  constructor(points, blocks, lattice) {
    if (blocks > points.length) refuse(`${blocks} blocks for ${points.length} lattice points inside`);
    const [, ny, nx] = lattice;
    this.lattice = lattice;
    this.places = [points.map((i) => Math.floor(i / (ny * nx))), points.map((i) => Math.floor(i / nx) % ny), points.map((i) => i % nx)];
    this.centers = new Array(blocks);
    this.root = this.cut(points.map((_, row) => row), 0, blocks);
  }

  /** A node of the tree over these rows of `places`. */
  cut(rows, first, blocks) {
    const ends = this.places.map((place) => {
      let low = Infinity;
      let high = -1;
      for (const row of rows) {
        if (place[row] < low) low = place[row];
        if (place[row] > high) high = place[row];
      }
      return [low, high];
    });
    if (blocks === 1) {
      this.centers[first] = ends.map(([low, high]) => (low + high) / 2);
      return { block: first };
    }
    const widths = ends.map(([low, high]) => high - low);
    const longest = widths.indexOf(Math.max(...widths));
    const axes = [longest, ...[0, 1, 2].filter((axis) => axis !== longest)];
    const [a, b, c] = axes.map((axis) => this.places[axis]);
    const [, nb, nc] = axes.map((axis) => this.lattice[axis]);
    const keys = Float64Array.from(rows, (row) => (a[row] * nb + b[row]) * nc + c[row]);
    const half = Math.floor(blocks / 2);
    const from = Float64Array.from(keys).sort()[Math.floor((rows.length * half) / blocks)];
    const below = this.cut(rows.filter((_, i) => keys[i] < from), first, half);
    return { axes, from, below, above: this.cut(rows.filter((_, i) => keys[i] >= from), first + half, blocks - half) };
  }

  /** The block of the lattice point nearest to a position in steps. */
  find(steps, at) {
    const { lattice } = this;
    const nearest = (axis) => Math.min(Math.max(Math.floor(steps[at + axis] + HALF), 0), lattice[axis] - 1);
    let node = this.root;
    while (node.block === undefined) {
      const [a, b, c] = node.axes;
      const key = (nearest(a) * lattice[b] + nearest(b)) * lattice[c] + nearest(c);
      node = key < node.from ? node.below : node.above;
    }
    return node.block;
  }

  /** Blocks, each with the numbers of its places. */
  *grouped({ flat, steps }) {
    const members = Array.from(this.centers, () => []);
    for (let i = 0; i < flat.length; i++) members[this.find(steps, 3 * i)].push(i);
    for (let block = 0; block < members.length; block++) if (members[block].length) yield { block, members: Int32Array.from(members[block]) };
  }
}

/** The sine layers of one block at a time, and the waves of all. */
class BlockNetwork {
  constructor({ model, lattice, grid, frame }, tensors, Layers) {
    const { values } = tensors.get("network");
    Object.assign(this, { model, lattice, frame });
    let at = 0;
    const take = ([rows, columns]) => values.subarray(at, (at += rows * columns));
    const matrices = shapesOf(model).map(take);
    const count = model.hidden + 1;
    this.bases = matrices.slice(count, 2 * count + 1);
    this.maps = matrices.slice(2 * count + 1, 3 * count + 2);
    this.codes = matrices.at(-1);
    this.lengths = lattice.map((n, axis) => grid.edges[2 - axis] / n / model.radius);
    const sines = this.bases.slice(0, -1).map((bias, l) => ({ weight: matrices[l], bias, activation: "sine", omega: model.omegas[l] }));
    const last = { weight: new Float32Array(model.width), bias: new Float32Array(1), activation: "none" };
    this.layers = new Layers([...sines, last], 3);
    this.x = new Float64Array(3 * BATCH);
    this.u = new Float64Array(BATCH);
    this.waves = new Waves(waveVectors(model.waves, lattice), values.subarray(at));
  }

  /** A block's biases and output, from its code. */
  setBlock(block) {
    const { code } = this.model;
    const k = this.codes.subarray(block * code, (block + 1) * code);
    const made = this.bases.map((base, l) => {
      const out = Float64Array.from(base);
      const map = this.maps[l];
      for (let i = 0; i < code; i++) for (let j = 0; j < out.length; j++) out[j] += k[i] * map[i * out.length + j];
      return out;
    });
    made.slice(0, -1).forEach((bias, l) => this.layers.set(l, { bias }));
    const { width } = this.model;
    this.layers.set(made.length - 1, { weight: made.at(-1).subarray(0, width), bias: made.at(-1).subarray(width) });
  }

  fill({ flat, share, steps }, members, center, out) {
    const { x, u, lengths, lattice, frame, waves } = this;
    for (let axis = 0; axis < 3; axis++) {
      for (let p = 0; p < members.length; p++) x[axis * BATCH + p] = (steps[3 * members[p] + axis] - center[axis]) * lengths[axis];
    }
    this.layers.run(x, members.length, u);
    for (let p = 0; p < members.length; p++) {
      const i = members[p];
      const t = lattice.map((n, axis) => (steps[3 * i + axis] / n - frame.center[axis]) / frame.halfWidth[axis]);
      out[flat[i]] = share[i] * (u[p] + waves.at(t));
    }
  }
}

/** A few plane waves; each is a product of one along every axis. */
class Waves {
  constructor(vectors, amplitudes) {
    this.amplitudes = amplitudes;
    this.reach = vectors.reduce((most, k) => Math.max(most, ...k.map(Math.abs)), 0);
    this.vectors = Int32Array.from(vectors.flatMap((k) => k.map((n) => n + this.reach)));
    this.axes = [0, 1, 2].map(() => ({ re: new Float64Array(2 * this.reach + 1), im: new Float64Array(2 * this.reach + 1) }));
  }

  at(t) {
    const { vectors, amplitudes, reach, axes } = this;
    if (!vectors.length) return 0;
    for (let axis = 0; axis < 3; axis++) {
      const { re, im } = axes[axis];
      for (let k = 0; k <= reach; k++) {
        re[reach - k] = re[reach + k] = Math.cos(WAVE * k * t[axis]);
        im[reach + k] = Math.sin(WAVE * k * t[axis]);
        im[reach - k] = -im[reach + k];
      }
    }
    const [z, y, x] = axes;
    let sum = amplitudes[0];
    for (let i = 3, at = 1; i < vectors.length; i += 3, at += 2) {
      const a = vectors[i], b = vectors[i + 1], c = vectors[i + 2];
      const re = z.re[a] * y.re[b] - z.im[a] * y.im[b];
      const im = z.re[a] * y.im[b] + z.im[a] * y.re[b];
      sum += amplitudes[at] * (re * x.re[c] - im * x.im[c]) + amplitudes[at + 1] * (re * x.im[c] + im * x.re[c]);
    }
    return sum;
  }
}
