// The metadata of section 2: checks 7, 8 and 14 of section 5, and what follows from them.

import { FormatError, UnsupportedError, shown } from "./errors.js";
import { cellMatrix, frequencies } from "./geometry.js";
import { isGroup } from "./symmetry.js";

const MAX_NUMBER = 1e30;
const MAX_COUNT = 65536;
const MAX_VOXELS = 2 ** 33;
const MAX_LATTICE = 2 ** 30;
const MAX_SETTINGS = 256;
const FEATURES = ["series"];

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const isNumber = (value) => typeof value === "number" && Math.abs(value) <= MAX_NUMBER;
// JSON null is a value of the wrong type, not a missing name.
const given = (value, otherwise) => (value === undefined ? otherwise : value);
const product = (counts) => counts.reduce((a, b) => a * b, 1);

function refuse(name, value, wanted) {
  throw new FormatError(8, `metadata ${name} is ${shown(value)}, wanted ${wanted}`);
}

/** Check 7: version and features. */
function checkVersion(metadata) {
  const { version, must_understand: features = [] } = metadata;
  if (typeof version !== "string") refuse("version", version, 'a text such as "1.0"');
  if (!/^1\.[0-9]{1,4}$/.test(version)) throw new UnsupportedError(7, `format version ${shown(version)}, this reader knows 1.x`);
  if (!Array.isArray(features) || features.some((name) => typeof name !== "string")) refuse("must_understand", features, "a list of texts");
  const unknown = features.find((name) => !FEATURES.includes(name));
  if (unknown !== undefined) throw new UnsupportedError(7, `the file needs the feature "${shown(unknown)}", which this reader does not have`);
  return features;
}

function number(name, value, low = -MAX_NUMBER, high = MAX_NUMBER) {
  if (!isNumber(value) || value < low || value > high) refuse(name, value, `a number from ${low} to ${high}`);
  return value;
}

function triple(name, value, isGood = () => true, words = "numbers") {
  if (!Array.isArray(value) || value.length !== 3 || !value.every((n) => isNumber(n) && isGood(n))) {
    refuse(name, value, `three ${words}`);
  }
  return value;
}

function counts(name, value, most) {
  triple(name, value, (n) => Number.isInteger(n) && n >= 1 && n <= MAX_COUNT, `counts of 1 to ${MAX_COUNT}`);
  if (product(value) > most) refuse(name, value, `at most ${most} in all`);
  return value;
}

function readGrid(grid) {
  if (!isObject(grid)) refuse("grid", grid, "an object");
  const shape = counts("grid.shape", grid.shape, MAX_VOXELS);
  const voxel = triple("grid.voxel_size", grid.voxel_size, (v) => v >= 1e-6 && v <= 1e6, "positive lengths of 1e-6 to 1e6");
  const origin = triple("grid.origin", given(grid.origin, [0, 0, 0]));
  const angles = triple("grid.angles", given(grid.angles, [90, 90, 90]), (a) => a > 0 && a < 180, "angles of 0 to 180");
  const edges = [0, 1, 2].map((a) => shape[2 - a] * voxel[a]);
  const cell = cellMatrix(edges, angles);
  if (!cell) refuse("grid.angles", angles, "angles of a cell: there is no such cell");
  return { shape, voxel, origin, angles, edges, cell };
}

function readFrame(frame) {
  if (!isObject(frame)) refuse("frame", frame, "an object");
  const center = triple("frame.center", given(frame.center, [0.5, 0.5, 0.5]));
  const halfWidth = triple("frame.half_width", given(frame.half_width, [0.5, 0.5, 0.5]), (h) => h > 0, "positive numbers");
  return { center, halfWidth };
}

function readSymmetry(symmetry) {
  if (symmetry === undefined) return null;
  if (!isObject(symmetry)) refuse("symmetry", symmetry, "an object");
  if (typeof symmetry.group !== "string" || !isGroup(symmetry.group)) refuse("symmetry.group", symmetry.group, "Cn, Dn, T, O, I, I1 or I2");
  return { group: symmetry.group, center: triple("symmetry.center", symmetry.center) };
}

function readModel(model) {
  if (!isObject(model)) refuse("model", model, "an object");
  if (typeof model.kind !== "string") refuse("model.kind", model.kind, "a text");
  for (const [name, value] of Object.entries(model)) {
    const isList = Array.isArray(value) && value.length <= MAX_SETTINGS && value.every(isNumber);
    if (!isList && !isNumber(value) && typeof value !== "string") refuse(`model.${shown(name)}`, value, "a text, a number or a list of numbers");
  }
  return model;
}

function readCodings(codings) {
  if (!isObject(codings)) refuse("codings", codings, "an object");
  for (const [tensor, coding] of Object.entries(codings)) {
    const name = `codings.${shown(tensor)}`;
    if (!isObject(coding) || typeof coding.coding !== "string") refuse(name, coding, 'an object with a text "coding"');
    if (coding.shape === undefined) continue;
    const isShape = Array.isArray(coding.shape) && coding.shape.every((n) => Number.isInteger(n) && n >= 1 && n <= MAX_COUNT);
    if (!isShape) refuse(`${name}.shape`, coding.shape, `counts of 1 to ${MAX_COUNT}`);
  }
  return codings;
}

/**
 * Checks 7 and 8.
 * @returns the metadata with defaults filled in, and what follows: the cell's matrix; `band`: shell width, last shell,
 *   highest frequency along each axis
 */
export function readMetadata(metadata) {
  const features = checkVersion(metadata);
  const { alignment = "box", band_limit: bandLimit, lattice } = metadata;
  if (typeof metadata.sha256 !== "string" || !/^[0-9a-f]{64}$/.test(metadata.sha256)) refuse("sha256", metadata.sha256, "64 digits");
  if (alignment !== "box" && alignment !== "corners") refuse("alignment", alignment, '"box" or "corners"');
  const grid = readGrid(metadata.grid);
  const limit = bandLimit === undefined ? null : number("band_limit", bandLimit, 1e-3, 1e6);
  return {
    version: metadata.version,
    features,
    model: readModel(metadata.model),
    grid,
    frame: readFrame(given(metadata.frame, {})),
    offset: number("offset", given(metadata.offset, 0)),
    scale: number("scale", given(metadata.scale, 1)),
    bandLimit: limit,
    band: limit === null ? null : frequencies(grid, limit),
    lattice: lattice === undefined ? null : counts("lattice", lattice, MAX_LATTICE),
    symmetry: readSymmetry(metadata.symmetry),
    alignment,
    codings: readCodings(given(metadata.codings, Object.create(null))),
  };
}

/** Check 14, but for the gains. */
export function checkBand(metadata) {
  const { bandLimit, lattice, grid } = metadata;
  if ((bandLimit === null) !== (lattice === null)) {
    throw new FormatError(14, bandLimit === null ? "a lattice without a band limit" : "a band limit without a lattice");
  }
  if (bandLimit === null) return;
  if (metadata.band.lastShell < 1) throw new FormatError(14, `a band limit of ${bandLimit} A is coarser than the box`);
  const largest = Math.max(...grid.shape);
  lattice.forEach((count, axis) => {
    const k = metadata.band.degree[axis];
    if (count <= 2 * k) throw new FormatError(14, `a lattice of ${count} along an axis with ${k} frequencies is too coarse`);
    const most = Math.min(32 + 4 * k, 32 + 3 * largest);
    if (count > most) throw new FormatError(14, `a lattice of ${count} along an axis with ${k} frequencies, at most ${most}`);
  });
  const points = product(lattice);
  const most = 2 ** 20 + 256 * product(grid.shape);
  if (points > most) throw new FormatError(14, `a lattice of ${points} points, at most ${most}`);
}
