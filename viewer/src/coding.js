// Stored tensors to decoded ones: section 3, the pages of the codings, and checks 10 to 12 of section 5.

import { FormatError, UnsupportedError, shown } from "./errors.js";
import { floats } from "./floats.js";
import { checkLattice, decodeLattice } from "./lattice.js";
import { decodeMatrices, matrixShapes } from "./matrices.js";
import { decodeOccupancy } from "./occupancy.js";

const MAX_EDGE = 16384;
const MAX_ELEMENTS = 2 ** 26;
const MAX_NODES = 2 ** 20;
const product = (shape) => shape.reduce((a, b) => a * b, 1);
const same = (a, b) => a.length === b.length && a.every((n, i) => n === b[i]);

function refuse(message) {
  throw new FormatError(10, message);
}

function wantStored(name, stored, dtypes, shape) {
  if (!stored) refuse(`tensor "${shown(name)}" is missing, its coding asks for it`);
  if (!dtypes.includes(stored.dtype)) refuse(`tensor "${name}" has dtype ${stored.dtype}, wanted ${dtypes.join(", ")}`);
  if (shape && !same(stored.shape, shape)) refuse(`tensor "${name}" has shape [${stored.shape}], wanted [${shape}]`);
}

function wantNumber(name, coding, key, low, high, isWhole) {
  const value = coding[key];
  if (typeof value !== "number" || value < low || value > high || (isWhole && !Number.isInteger(value))) {
    refuse(`coding of "${name}" has ${key} ${shown(value)}, wanted ${low} to ${high}`);
  }
}

const float = {
  companions: [],
  check(name, shape, coding, stored) {
    wantStored(name, stored, ["F32", "F16", "BF16"], shape);
  },
  decode: (shape, coding, stored) => floats(stored),
};

const uniform = {
  companions: ["step"],
  check(name, shape, coding, stored, beside) {
    wantNumber(name, coding, "bits", 2, 8, true);
    if (!shape.length) refuse(`coding of "${name}" has no axis`);
    wantStored(name, stored, ["U8"], [Math.ceil((product(shape) * coding.bits) / 8)]);
    wantStored(`${name}.step`, beside.step, ["F16"], shape.slice(0, -1));
    if (floats(beside.step).some((step) => !(step >= 0 && step < Infinity))) refuse(`"${name}" has a step that is negative or not finite`);
  },
  decode(shape, { bits }, { bytes }, beside) {
    const steps = floats(beside.step);
    const row = shape.at(-1);
    const out = new Float32Array(product(shape));
    const half = 1 << (bits - 1);
    for (let i = 0; i < out.length; i++) {
      const at = i * bits;
      const byte = Math.floor(at / 8);
      const pair = bytes[byte] | ((bytes[byte + 1] ?? 0) << 8);
      const level = (pair >> at % 8) & ((1 << bits) - 1);
      out[i] = steps[Math.floor(i / row)] * (level - half);
    }
    return out;
  },
};

const log = {
  companions: [],
  check(name, shape, coding, stored) {
    wantNumber(name, coding, "low", -126, 127);
    wantNumber(name, coding, "step", 0, 1);
    if (coding.low + 255 * coding.step >= 128) refuse(`coding of "${name}": low + 255 step is not below 128`);
    wantStored(name, stored, ["U8"], shape);
  },
  decode: (shape, { low, step }, { bytes }) => Float32Array.from(bytes, (q) => (q ? 2 ** (low + step * q) : 0)),
};

const occupancy = {
  companions: [],
  check(name, shape, coding, stored) {
    wantStored(name, stored, ["U8"]);
    if (stored.shape.length !== 1) refuse(`tensor "${name}" has ${stored.shape.length} axes, wanted 1`);
    if (shape.length !== 3) refuse(`coding of "${name}" has ${shape.length} axes, wanted 3`);
    if (product(shape) > MAX_NODES) throw new FormatError(11, `coding of "${name}" has ${product(shape)} nodes, at most ${MAX_NODES}`);
  },
  decode: (shape, coding, { bytes }) => decodeOccupancy(bytes, shape),
};

const lattice = {
  companions: ["blocks"],
  check(name, shape, coding, stored, beside) {
    wantStored(name, stored, ["U8"]);
    wantStored(`${name}.blocks`, beside.blocks, ["U8"]);
    if (stored.shape.length !== 1 || beside.blocks.shape.length !== 1) refuse(`tensors of "${name}" have more or fewer axes than 1`);
    checkLattice(name, shape);
  },
  decode: (shape, coding, { bytes }, beside) => decodeLattice(bytes, beside.blocks.bytes, shape),
};

const matrices = {
  companions: ["step"],
  shape: (name, { shapes }) => [matrixShapes(name, shapes).reduce((sum, [rows, columns]) => sum + rows * columns, 0)],
  check(name, shape, { shapes }, stored, beside) {
    wantStored(name, stored, ["U8"]);
    if (stored.shape.length !== 1) refuse(`tensor "${name}" has ${stored.shape.length} axes, wanted 1`);
    wantStored(`${name}.step`, beside.step, ["F16"], [matrixShapes(name, shapes).length]);
    if (floats(beside.step).some((step) => !(step > 0 && step < Infinity))) refuse(`"${name}" has a step that is not a finite number above 0`);
    const most = 4096 + 16 * stored.shape[0];
    if (shape[0] > most) throw new FormatError(11, `coding of "${name}" has ${shape[0]} numbers in ${stored.shape[0]} bytes, at most ${most}`);
  },
  decode: (shape, { shapes }, { bytes }, beside) => decodeMatrices(bytes, matrixShapes("", shapes), floats(beside.step)),
};

const CODINGS = { matrices, float, uniform, log, occupancy, lattice };

/**
 * Decoded tensors by name: {shape, values}, values a typed array in C order.
 * @param stored tensors of the layout, by name
 * @param codings of the metadata
 */
export function decodeTensors(stored, codings) {
  const plans = plan(stored, codings);
  checkSizes(plans);
  const out = new Map();
  for (const { name, coding, parameters, shape, main, beside } of plans) {
    const values = coding.decode(shape, parameters, main, beside);
    if (values instanceof Float32Array && values.some((v) => !Number.isFinite(v))) {
      throw new FormatError(12, `tensor "${name}" has values that are not finite`);
    }
    out.set(name, { shape, values });
  }
  return out;
}

/** Check 10: which coding decodes which tensors to which shape. */
function plan(stored, codings) {
  const rest = new Map(stored);
  const plans = [];
  const add = (name, coding, parameters) => {
    const main = rest.get(name);
    const beside = {};
    for (const suffix of coding.companions) beside[suffix] = rest.get(`${name}.${suffix}`);
    if (!main) refuse(`tensor "${shown(name)}" is missing, "codings" names it`);
    const shape = coding.shape?.(name, parameters) ?? parameters.shape ?? main.shape;
    coding.check(name, shape, parameters, main, beside);
    rest.delete(name);
    for (const suffix of coding.companions) rest.delete(`${name}.${suffix}`);
    plans.push({ name, coding, parameters, shape, main, beside });
  };
  for (const [name, parameters] of Object.entries(codings)) {
    if (!Object.hasOwn(CODINGS, parameters.coding)) {
      throw new UnsupportedError(10, `tensor "${shown(name)}" has the coding "${shown(parameters.coding)}", which this reader does not have`);
    }
    add(name, CODINGS[parameters.coding], parameters);
  }
  for (const name of [...rest.keys()]) {
    if (rest.get(name).dtype === "U8") throw new FormatError(13, `tensor "${name}" has no place in the network`);
    add(name, float, {});
  }
  return plans;
}

/** Check 11. */
function checkSizes(plans) {
  let total = 0;
  let lattices = 0;
  for (const { name, coding, shape } of plans) {
    if (coding === lattice) {
      if (++lattices > 1) throw new FormatError(11, `tensor "${name}" is a second one of the coding lattice`);
      continue;
    }
    if (coding !== matrices && shape.length > 1 && shape.some((n) => n > MAX_EDGE)) throw new FormatError(11, `tensor "${name}" has shape [${shape}], at most ${MAX_EDGE} along an axis`);
    if (name === "envelope" && product(shape) > MAX_NODES) throw new FormatError(11, `an envelope of ${product(shape)} nodes, at most ${MAX_NODES}`);
    total += product(shape);
  }
  if (total > MAX_ELEMENTS) throw new FormatError(11, `${total} decoded elements, at most ${MAX_ELEMENTS}`);
}
