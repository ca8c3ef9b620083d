/**
 * Reads `.nmap` files: cryo-EM density maps stored as small neural networks. Written from the specification of the
 * format, version 1.0. No dependencies; for browsers, workers and Node.
 *
 *     const map = open(bytes);
 *     const { values, shape, step } = decode(map);   // the source's own grid; or decode(map, [200, 200, 200])
 *
 * Shapes and indices are in array order (z, y, x), x fastest; positions, voxel sizes and origins (x, y, z), Angstrom.
 */

import { decodeTensors } from "./src/coding.js";
import { LimitError } from "./src/errors.js";
import { Field } from "./src/field.js";
import { apply, inverseCell, shellOf } from "./src/geometry.js";
import { Layers as PlainLayers } from "./src/layers.js";
import { checkSum, readLayout } from "./src/layout.js";
import { checkBand, readMetadata } from "./src/metadata.js";
import { checkModel, latticeValues } from "./src/networks.js";
import { movedPolynomial } from "./src/motion.js";
import { Polynomial } from "./src/polynomial.js";
import { radialCoefficients } from "./src/radial.js";
import { readRecord } from "./src/record.js";
import { seriesAt } from "./src/series.js";

export { AppendedDataError, FormatError, LimitError, UnsupportedError } from "./src/errors.js";

// Positions this many voxels beyond the box's faces still count as on them (section 6.5).
const EDGE = 1e-3;
const MAX_SAMPLES = 2 ** 28;

/** A `.nmap` file that passed all checks: `metadata`, decoded `tensors`, and what decoding needs more than once. */
class NmapFile {
  constructor(layout, metadata, tensors, length, Layers) {
    this.layout = layout;
    this.metadata = metadata;
    this.tensors = tensors;
    this.length = length;
    this.Layers = Layers;
    this.held = {};
  }

  /** m . u, where it has values at points. */
  get field() {
    return (this.held.field ??= new Field(this.metadata, this.tensors, this.Layers));
  }

  /** The polynomial of section 6.4; null without a band limit. */
  get polynomial() {
    if (!this.metadata.band) return null;
    return (this.held.polynomial ??= filtered(this));
  }
}

/**
 * Opens a file: makes all checks of section 5.
 * @param {Uint8Array | ArrayBuffer} data the whole file
 * @param options `Layers`: what computes a network's layers, such as `SimdLayers`; by default plain JavaScript
 * @throws FormatError, UnsupportedError, AppendedDataError
 */
export function open(data, { Layers = PlainLayers } = {}) {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data);
  const layout = readLayout(bytes);
  const metadata = readMetadata(layout.metadata);
  checkSum(layout);
  const tensors = decodeTensors(layout.tensors, metadata.codings);
  checkModel(metadata, tensors);
  checkBand(metadata);
  return new NmapFile(layout, metadata, tensors, bytes.length, Layers);
}

/** The axis of a series: its name, the positions of the measured frames, and its period; null of one map. */
export function axisOf(map) {
  const { kind, axis, at, period = null } = map.metadata.model;
  return kind === "series-siren" ? { name: axis, at: [...at], period } : null;
}

/**
 * The map of a series at a position of its axis: one like any other. Between measured frames it is interpolated.
 * @throws RangeError of one map, and of a position beyond the ends of the axis
 */
export function at(map, t) {
  if (!axisOf(map)) throw new RangeError("one map, not a series: it has no positions");
  return new NmapFile(map.layout, ...seriesAt(map.metadata, map.tensors, t), map.length, map.Layers);
}

/**
 * Where the samples of a grid lie: shape (z, y, x); origin, distances and steps along the axes (x, y, z), Angstrom.
 * @param shape samples over the box (z, y, x); by default the source's own
 * @param region {start, shape}: only so many of them (z, y, x), from this index on
 */
export function gridOf(map, shape = map.metadata.grid.shape, region = { start: [0, 0, 0], shape }) {
  const { grid } = map.metadata;
  const steps = axisSteps(map, shape);
  const axes = [0, 1, 2].map((axis) => [0, 1, 2].map((row) => grid.cell[3 * row + axis] * steps[2 - axis]));
  const voxelSize = [0, 1, 2].map((axis) => grid.edges[axis] * steps[2 - axis]);
  const origin = grid.origin.map((o, row) => o + axes.reduce((sum, step, axis) => sum + step[row] * region.start[2 - axis], 0));
  return { shape: [...region.shape], origin, voxelSize, angles: [...grid.angles], axes };
}

/**
 * The density on a grid: the same map at `shape` samples (section 6.6), or a part of that.
 * @param shape samples over the box (z, y, x); by default the source's own
 * @param options `region` as of `gridOf`, `maxSamples`, and `onProgress(share)`
 * @returns {{values: Float32Array, shape, origin, voxelSize, angles, axes}} values in C order
 */
export function decode(map, shape = map.metadata.grid.shape, { region, maxSamples = MAX_SAMPLES, onProgress } = {}) {
  const isCounts = (counts, low) => counts.length === 3 && counts.every((n) => Number.isInteger(n) && n >= low);
  if (!isCounts(shape, 1)) throw new RangeError(`shape [${shape}], wanted three counts`);
  const part = region ?? { start: [0, 0, 0], shape };
  const isWithin = isCounts(part.start, 0) && isCounts(part.shape, 1) && shape.every((n, i) => part.start[i] + part.shape[i] <= n);
  if (!isWithin) throw new RangeError(`region of [${part.shape}] from [${part.start}], wanted one within [${shape}]`);
  const [nz, ny, nx] = part.shape;
  if (nz * ny * nx > maxSamples) throw new LimitError(`${nz * ny * nx} samples, at most ${maxSamples}: ask for fewer`);
  const { offset, scale } = map.metadata;
  const values = new Float32Array(nz * ny * nx);
  const axes = axisSteps(map, shape).map((step, axis) => ({ first: part.start[axis], count: part.shape[axis], step }));
  const take = (z, plane) => {
    const start = z * ny * nx;
    for (let i = 0; i < plane.length; i++) values[start + i] = offset + scale * plane[i];
    onProgress?.((z + 1) / nz);
  };
  if (map.polynomial) map.polynomial.onGrid(axes, take);
  else planes(map.field, axes, take);
  return { values, ...gridOf(map, shape, part) };
}

/**
 * The density at positions.
 * @param points a list of [x, y, z], Angstrom
 * @returns {Float32Array}
 */
export function sample(map, points) {
  const { grid, offset, scale } = map.metadata;
  const inverse = inverseCell(grid.cell);
  const fractions = points.map((point) => apply(inverse, point.map((v, i) => v - grid.origin[i])).reverse());
  const isInside = (f) => f.every((v, axis) => v >= -EDGE / grid.shape[axis] && v < 1 - EDGE / grid.shape[axis]);
  const inside = fractions.map((f, i) => i).filter((i) => isInside(fractions[i]));
  const values = new Float64Array(inside.length);
  if (map.polynomial) inside.forEach((i, at) => (values[at] = map.polynomial.at(fractions[i])));
  else map.field.atPoints(inside.map((i) => fractions[i]), values);
  const out = new Float32Array(points.length).fill(offset);
  inside.forEach((i, at) => (out[i] = offset + scale * values[at]));
  return out;
}

/** What a file says of itself, as plain values. */
export function inspect(map) {
  const { metadata, tensors, length } = map;
  const { grid, model, bandLimit, lattice, symmetry, alignment, version } = metadata;
  const isCount = ([key]) => key !== "gains" && key !== "envelope";
  const parameters = [...tensors].filter(isCount).reduce((sum, [, { values }]) => sum + values.reduce((n, v) => n + (v !== 0), 0), 0);
  const envelope = tensors.get("envelope");
  return {
    version,
    bytes: length,
    kind: model.kind,
    parameters,
    shape: grid.shape,
    voxelSize: grid.voxel,
    origin: grid.origin,
    angles: grid.angles,
    bandLimit: model.limit ?? bandLimit,
    lattice,
    symmetry: symmetry?.group ?? "C1",
    alignment,
    envelopeShare: envelope ? envelope.values.reduce((a, b) => a + b, 0) / envelope.values.length : null,
    hasHdf5: map.layout.hasHdf5,
  };
}

/**
 * What decoding does not need: which map it was, how it was fitted, how true it is.
 * @returns {Promise<{record: object, dropped: string[]}>} groups of items, and in words what was damaged
 */
export function record(map) {
  return readRecord(map.layout.record);
}

/** Steps between samples along (z, y, x), as box fractions. */
function axisSteps(map, shape) {
  const { grid, alignment } = map.metadata;
  if (alignment === "box") return shape.map((m) => 1 / m);
  return shape.map((m, axis) => Math.max(grid.shape[axis] - 1, 1) / Math.max(m - 1, 1) / grid.shape[axis]);
}

function planes(field, axes, take) {
  const [fz, fy, fx] = axes.map(({ first, count, step }) => Float64Array.from({ length: count }, (_, i) => (first + i) * step));
  const plane = new Float32Array(fy.length * fx.length);
  for (let z = 0; z < fz.length; z++) {
    field.onGrid(fz.subarray(z, z + 1), fy, fx, plane);
    take(z, plane);
  }
}

/** Section 6.4: coefficients of m . u, times gains, without what lies beyond the last shell. */
function filtered({ metadata, tensors, field, Layers }) {
  const { grid, band, lattice, model } = metadata;
  const { lastShell, width, degree } = band;
  const gains = tensors.get("gains")?.values;
  let out;
  const [nz, ny, nx] = lattice;
  const values = latticeValues(metadata, tensors, field, Layers);
  if (model.kind === "radial-basis") out = radialCoefficients(metadata, tensors.get("weights").values);
  else if (values) out = Polynomial.of(lattice, degree, (z, plane) => plane.set(values.subarray(z * ny * nx, (z + 1) * ny * nx)));
  else {
    const [fz, fy, fx] = lattice.map((n) => Float64Array.from({ length: n }, (_, i) => i / n));
    out = Polynomial.of(lattice, degree, (z, plane) => field.onGrid(fz.subarray(z, z + 1), fy, fx, plane));
  }
  const shell = shellOf(grid, width);
  const points = nz * ny * nx;
  out.scale((l, k, h) => {
    const s = shell(h, k, l);
    return s > lastShell ? 0 : (gains ? gains[s] : 1) / points;
  });
  if (!metadata.motion) return out;
  const last = Math.floor(1 / (metadata.motion.limit * width) + 1e-6);
  return movedPolynomial(out, metadata.motion, lattice, grid, (l, k, h) => shell(h, k, l) <= last);
}
