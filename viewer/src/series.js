// The model kind `series-siren`: block-sirens along a fourth axis. At a position it is one of them.

import { FormatError, shown } from "./errors.js";
import { checkBlocks, checkSizes, shapesOf } from "./blocks.js";

const MAX_FRAMES = 256;
const MAX_COMPONENTS = 64;
const MAX_NODES = 2 ** 15;
// At a position the codes are twice as long.
const MAX_CODE = 512;
// Positions this share of the axis beyond its ends are its ends.
const ROUNDING = 1e-9;
// Shortest step between frames, as a share of the axis.
const LEAST_STEP = 1e-9;
// Frames closer than this share of the mean gap count as so far apart.
const CLOSEST = 0.1;

function refuse(message) {
  throw new FormatError(13, message);
}

/** Numbers of the tensor that all positions share, and of the codes of a component. */
function sizesOf(model) {
  const sizes = shapesOf(model).map(([rows, columns]) => rows * columns);
  return { shared: sizes.slice(0, -1).reduce((a, b) => a + b, 0), codes: sizes.at(-1) };
}

/** Numbers of the motion, the last ones of the tensor. */
function displacementsOf({ nodes, moving }) {
  return nodes === undefined ? 0 : 3 * moving * nodes.reduce((a, b) => a * b, 1);
}

/** The part of check 13 that is on the motion. */
function checkMotion({ nodes, moving, limit }, most, bandLimit) {
  if (nodes === undefined && moving === undefined && limit === undefined) return;
  if (typeof limit !== "number" || limit < (bandLimit ?? 0)) refuse(`model.limit is ${shown(limit)}, wanted a resolution, the band limit or coarser`);
  const isCounts = Array.isArray(nodes) && nodes.length === 3 && nodes.every((n) => Number.isInteger(n) && n >= 1);
  if (!isCounts || nodes.reduce((a, b) => a * b, 1) > MAX_NODES) refuse(`model.nodes is ${shown(nodes)}, wanted three counts, ${MAX_NODES} nodes at most`);
  if (!Number.isInteger(moving) || moving < 1 || moving > most) refuse(`model.moving is ${shown(moving)}, wanted a whole number from 1 to ${most}`);
}

/** Check 13 of this kind. */
export function checkSeries(metadata, tensors) {
  const { at, axis, components, period } = metadata.model;
  if (!Array.isArray(at) || at.length < 2 || at.length > MAX_FRAMES) refuse(`model.at is ${shown(at)}, wanted 2 to ${MAX_FRAMES} positions`);
  if (at.some((t, i) => i && !(t > at[i - 1]))) refuse(`model.at is ${shown(at)}, wanted each above the one before`);
  if (typeof axis !== "string") refuse(`model.axis is ${shown(axis)}, wanted a name`);
  const span = at.at(-1) - at[0];
  if (at.some((t, i) => i && t - at[i - 1] < LEAST_STEP * span)) refuse(`model.at is ${shown(at)}, wanted steps of at least ${LEAST_STEP} of ${span}`);
  if (period !== undefined && !(typeof period === "number" && period >= (1 + LEAST_STEP) * span)) refuse(`model.period is ${shown(period)}, wanted above ${span}`);
  const most = Math.min(MAX_COMPONENTS, at.length);
  if (!Number.isInteger(components) || components < 1 || components > most) {
    refuse(`model.components is ${shown(components)}, wanted a whole number from 1 to ${most}`);
  }
  const network = tensors.get("network");
  if (!network) refuse('tensor "network" is missing');
  if (network.shape.length !== 1) refuse(`tensor "network" has shape [${network.shape}], wanted one axis`);
  checkSizes(metadata.model);
  if (metadata.model.code > MAX_CODE) refuse(`model.code is ${shown(metadata.model.code)}, wanted at most ${MAX_CODE}`);
  const { shared, codes } = sizesOf(metadata.model);
  checkMotion(metadata.model, most, metadata.bandLimit);
  if (metadata.model.nodes !== undefined && metadata.symmetry) refuse("a motion in a map with symmetry");
  const left = network.shape[0] - shared - components * codes - displacementsOf(metadata.model);
  if (left < 0 || left % components) refuse(`tensor "network" has ${network.shape[0]} numbers, wanted those of ${components} components`);
  const one = { shape: [shared + codes + left / components] };
  checkBlocks(metadata, new Map([...tensors, ["network", one]]));
}

/** Where frames count as lying, in mean gaps from the first one; last, of a cycle, the first one again. */
function placesOf(at, period) {
  const ends = period === undefined ? at : [...at, at[0] + period];
  const gap = (ends.at(-1) - ends[0]) / (ends.length - 1);
  const places = [0];
  for (let i = 1; i < ends.length; i++) places.push(places[i - 1] + Math.max((ends[i] - ends[i - 1]) / gap, CLOSEST));
  return places;
}

/** The functions of a line at its frames: orthogonal polynomials of their places, an array for each. */
function polynomials(places, count) {
  const n = places.length;
  const mean = (f, g) => f.reduce((sum, value, i) => sum + value * g[i], 0) / n;
  const out = [new Float64Array(n).fill(1)];
  while (out.length < count) {
    let next = out.at(-1).map((value, i) => value * ((2 * places[i]) / places.at(-1) - 1));
    // Twice, for what rounding leaves.
    for (const lower of [...out, ...out]) {
      const share = mean(lower, next);
      next = next.map((value, i) => value - share * lower[i]);
    }
    const length = Math.sqrt(mean(next, next));
    out.push(next.map((value) => value / length));
  }
  return out;
}

/** The functions of a cycle at its n frames, an array for each. */
function waves(n, count) {
  return Array.from({ length: count }, (_, k) =>
    Float64Array.from({ length: n }, (_, i) => {
      const phase = (2 * Math.PI * ((k + 1) >> 1) * i) / n;
      return k === 0 ? 1 : Math.SQRT2 * (k % 2 ? Math.cos(phase) : Math.sin(phase));
    }),
  );
}

/** Frames and their shares in the slope at a frame: of the parabola through it and its neighbours. */
function slopeAt(places, number) {
  if (places.length === 2) {
    const h = places[1] - places[0];
    return [[0, -1 / h], [1, 1 / h]];
  }
  const middle = Math.min(Math.max(number, 1), places.length - 2);
  const [a, b, c] = places.slice(middle - 1, middle + 2);
  const x = places[number];
  return [
    [middle - 1, (2 * x - b - c) / ((a - b) * (a - c))],
    [middle, (2 * x - a - c) / ((b - a) * (b - c))],
    [middle + 1, (2 * x - a - b) / ((c - a) * (c - b))],
  ];
}

/** The functions of the axis at a position: cubics between frames. */
function functions({ at, components, period }, t) {
  const n = at.length;
  const [first, last] = [at[0], at.at(-1)];
  const isCycle = period !== undefined;
  const margin = ROUNDING * (last - first);
  if (!isCycle && !(t >= first - margin && t <= last + margin)) {
    throw new RangeError(`position ${t}: the series was measured from ${first} to ${last}`);
  }
  const turns = (t - first) / period;
  const place = isCycle ? first + (turns - Math.floor(turns)) * period : Math.min(Math.max(t, first), last);
  const once = placesOf(at, period);
  const turned = (values, length) => [-1, 0, 1].flatMap((m) => values.map((value) => value + m * length));
  const ends = isCycle ? turned(at, period) : at;
  const places = isCycle ? turned(once.slice(0, n), once[n]) : once;
  let low = 0;
  while (low < ends.length - 2 && ends[low + 1] <= place) low++;
  const h = places[low + 1] - places[low];
  const s = (place - ends[low]) / (ends[low + 1] - ends[low]);
  const shares = new Float64Array(n);
  const add = (number, end, tangent) => {
    shares[number % n] += end;
    for (const [frame, share] of slopeAt(places, number)) shares[frame % n] += h * tangent * share;
  };
  add(low, 2 * s ** 3 - 3 * s ** 2 + 1, s ** 3 - 2 * s ** 2 + s);
  add(low + 1, 3 * s ** 2 - 2 * s ** 3, s ** 3 - s ** 2);
  const waved = isCycle ? waves(n, components) : polynomials(once, components);
  return waved.map((frames) => shares.reduce((sum, share, i) => sum + share * frames[i], 0));
}

/**
 * Metadata and tensors of the block-siren at a position of a series: its codes are that of function 0, which the
 * layers have, and then the sum over the functions, which the output has.
 */
export function seriesAt(metadata, tensors, t) {
  const { model } = metadata;
  if (!Number.isFinite(t)) throw new RangeError(`position ${t}, wanted a finite number`);
  const every = tensors.get("network").values;
  const values = every.subarray(0, every.length - displacementsOf(model));
  const { width, code, blocks } = model;
  const { shared, codes } = sizesOf(model);
  const f = functions(model, t);
  const sum = (from, count, i) => f.reduce((total, factor, k) => total + factor * values[from + k * count + i], 0);
  const shapes = shapesOf(model);
  const maps = shapes.slice(-1 - (model.hidden + 2), -1);
  const before = shared - maps.reduce((total, [rows, columns]) => total + rows * columns, 0);
  const amplitudes = (values.length - shared - f.length * codes) / f.length;
  const out = new Float32Array(before + 2 * (shared - before) + 2 * codes + amplitudes);
  out.set(values.subarray(0, before));
  let to = before;
  let from = before;
  for (const [rows, columns] of maps) {
    const size = rows * columns;
    const isOutput = columns === width + 1;
    out.set(values.subarray(from, from + size), to + (isOutput ? size : 0));
    from += size;
    to += 2 * size;
  }
  for (let block = 0; block < blocks; block++) {
    for (let i = 0; i < code; i++) {
      out[to + i] = values[shared + block * code + i];
      out[to + code + i] = sum(shared, codes, block * code + i);
    }
    to += 2 * code;
  }
  for (let i = 0; i < amplitudes; i++) out[to + i] = sum(shared + f.length * codes, amplitudes, i);
  const single = { ...metadata, model: { ...model, kind: "block-siren", code: 2 * code }, features: [] };
  if (model.nodes !== undefined) single.motion = motionAt(model, every.subarray(values.length), t);
  return [single, new Map([...tensors, ["network", { shape: [out.length], values: out }]])];
}

/** The displacement of each node at a position: Angstrom along (x, y, z), in C order. */
function motionAt(model, stored, t) {
  const { nodes, moving } = model;
  const f = functions({ ...model, components: moving }, t);
  const displacements = new Float64Array(stored.length / moving);
  for (let i = 0; i < displacements.length; i += 3) {
    f.forEach((factor, k) => {
      for (let a = 0; a < 3; a++) displacements[i + a] += factor * stored[i * moving + 3 * k + a];
    });
  }
  return { nodes, displacements, limit: model.limit };
}
