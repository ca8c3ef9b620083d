// The record: what decoding does not need. The page record.md; nothing here keeps a file from being decoded.

import { FormatError, shown } from "./errors.js";
import { floats } from "./floats.js";
import { parseObject } from "./json.js";

const MAX_TEXT = 2 ** 22;
const MAX_COMMAS = 2 ** 16;
const MAX_DEPTH = 16;
const MAX_POINTS = 1024;
const MAX_WORDS = 8192;
const MRC_HEADER = 1024;
const ITEM_SIZE = { F32: 4, F16: 2, U8: 1 };

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value) && !ArrayBuffer.isView(value);
const isArray = (value) => isObject(value) && ArrayBuffer.isView(value.values);
const isCurve = (value) => isArray(value) && value.type !== "U8" && value.shape.length === 1 && value.shape[0] >= 1 && value.shape[0] <= MAX_POINTS;

// Kinds of items, and what each must be.
const KINDS = {
  "a text": (value) => typeof value === "string" && value.length <= MAX_WORDS,
  "a number": (value) => typeof value === "number",
  "a whole number": (value) => Number.isInteger(value),
  "an object": (value) => isObject(value) && !isArray(value),
  "a text or object": (value) => KINDS["a text"](value) || (typeof value === "object" && !ArrayBuffer.isView(value) && !isArray(value)),
  bytes: (value) => value instanceof Uint8Array,
  "1024 bytes": (value) => value instanceof Uint8Array && value.length === MRC_HEADER,
  "a curve": isCurve,
  "an image": (value) => isArray(value) && value.type === "U8" && value.shape.length === 2 && value.values.length > 0,
};
const ITEMS = {
  source: {
    "a text": "file url format annotation_details sha256 compression data_type",
    "a whole number": "symmetry_space_group bytes extended_header_bytes",
    "a number": "resolution contour_level",
    "1024 bytes": "mrc_header",
    bytes: "extended_header",
  },
  fit: {
    "a text": "device imported_from imported_sha256",
    "a whole number": "seed steps",
    "a number": "seconds",
    "an object": "settings versions",
    "a text or object": "mask band_limit_from notes",
    "a curve": "loss loss_step fsc fsc_step",
  },
  fidelity: {
    "a text": "mask",
    "a number": "worst resolution resolution_0.5 resolution_0.143 correlation psnr size_ratio half_map_resolution contour_level contour_volume",
    "a text or object": "cross_validation",
    bytes: "envelope",
    "a curve": "fsc frequency half_map_fsc decode_half2_fsc",
  },
  thumbnail: { "an image": "xy xz yz", "a number": "minimum maximum" },
};
const AXES = { fit: { loss: "loss_step", fsc: "fsc_step" }, fidelity: { fsc: "frequency", half_map_fsc: "frequency", decode_half2_fsc: "frequency" } };

/**
 * Groups of items of a record, and in words what was dropped of it.
 * @param tensor {dtype, shape, bytes} of the layout; undefined for none
 */
export async function readRecord(tensor) {
  const dropped = [];
  if (!tensor) return { record: {}, dropped };
  try {
    if (tensor.dtype !== "U8" || tensor.shape.length !== 1) throw new FormatError(0, `record of type ${tensor.dtype}, wanted bytes`);
    const groups = parse(await inflate(tensor.bytes));
    return { record: readGroups(groups, dropped), dropped };
  } catch (failure) {
    return { record: {}, dropped: [failure.message] };
  }
}

/** The text of a zlib stream, unpacked no further than it may be long. */
async function inflate(bytes) {
  const parts = [];
  let length = 0;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      length += value.length;
      if (length > MAX_TEXT) break;
      parts.push(value);
    }
  } catch {
    throw new FormatError(0, "record is no whole zlib stream");
  }
  if (length > MAX_TEXT) {
    reader.cancel().catch(() => {});
    throw new FormatError(0, `record unpacks to more than ${MAX_TEXT} bytes`);
  }
  const text = new Uint8Array(await new Blob(parts).arrayBuffer());
  checkEnd(bytes, text);
  return text;
}

/** The stream ends with the Adler-32 of its text, so nothing follows it: not every engine looks. */
function checkEnd(bytes, text) {
  let a = 1;
  let b = 0;
  for (const byte of text) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint32(bytes.length - 4) !== b * 65536 + a) throw new FormatError(0, "bytes follow the record's zlib stream");
}

function parse(bytes) {
  if (bytes.reduce((count, byte) => count + (byte === 0x2c), 0) > MAX_COMMAS) throw new FormatError(0, `record of more than ${MAX_COMMAS} commas`);
  if (bytes.some((byte) => byte > 127)) throw new FormatError(0, "record is not valid JSON: not ASCII");
  return parseObject(new TextDecoder().decode(bytes), "record", MAX_DEPTH);
}

function readGroups(groups, dropped) {
  const out = Object.create(null);
  for (const [group, items] of Object.entries(groups)) {
    if (!isObject(items) || "$type" in items) {
      dropped.push(`group ${shown(group)}: no object of items`);
      continue;
    }
    out[group] = Object.create(null);
    for (const [name, item] of Object.entries(items)) {
      if (item === null) continue;
      try {
        out[group][name] = checked(group, name, valueOf(item));
      } catch (failure) {
        dropped.push(`${shown(group)}.${shown(name)}: ${failure.message}`);
      }
    }
    dropLoneCurves(group, out[group], dropped);
  }
  return out;
}

/** A value of the kind that the table says; an item that is not in the table may be any. */
function checked(group, name, value) {
  const kinds = Object.hasOwn(ITEMS, group) ? ITEMS[group] : {};
  const kind = Object.keys(kinds).find((key) => kinds[key].split(" ").includes(name));
  if (kind && !KINDS[kind](value)) throw new Error(`wanted ${kind}`);
  return value;
}

function dropLoneCurves(group, items, dropped) {
  for (const [curve, axis] of Object.entries(AXES[group] ?? {})) {
    if (!(curve in items) || items[axis]?.values.length === items[curve].values.length) continue;
    dropped.push(`${group}.${curve}: wanted an axis ${axis} of the same count`);
    delete items[curve];
  }
  const used = Object.entries(AXES[group] ?? {}).map(([curve, axis]) => curve in items && axis);
  for (const axis of Object.values(AXES[group] ?? {})) if (!used.includes(axis)) delete items[axis];
}

/** A JSON value with its bytes (Uint8Array) and arrays ({type, shape, values}). */
function valueOf(item) {
  if (Array.isArray(item)) return item.map(valueOf);
  if (!isObject(item)) return item;
  if (!("$type" in item)) {
    return Object.entries(item).reduce((out, [name, value]) => {
      out[name] = valueOf(value);
      return out;
    }, Object.create(null));
  }
  const { $type: type, shape, ...form } = item;
  const [name, ...others] = Object.keys(form);
  if (others.length) throw new Error("wanted one form of a value");
  if (type === "bytes" && shape === undefined && name === "base64") return bytesOf(form.base64);
  if (!Object.hasOwn(ITEM_SIZE, type)) throw new Error(`type ${shown(type)}, wanted bytes, F32, F16 or U8`);
  const isShape = Array.isArray(shape) && shape.length <= 4 && shape.every((n) => Number.isInteger(n) && n >= 0 && n <= MAX_TEXT);
  if (!isShape) throw new Error(`shape ${shown(shape)}, wanted up to 4 counts`);
  const values = numbersOf(type, name, form[name], shape);
  if (values.length !== shape.reduce((a, b) => a * b, 1)) throw new Error(`${values.length} numbers do not fill [${shape}]`);
  return { type, shape, values };
}

function numbersOf(type, form, given, shape) {
  const Kind = type === "U8" ? Uint8Array : Float32Array;
  if (form === "values" && Array.isArray(given) && given.every((v) => typeof v === "number")) return Kind.from(given);
  if (form === "range" && Array.isArray(given) && given.length === 2 && given.every((v) => typeof v === "number")) {
    const [count, ...more] = shape;
    if (more.length || !(count >= 2 && count <= MAX_POINTS)) throw new Error(`a range of [${shape}] counts, wanted 2 to ${MAX_POINTS}`);
    const [first, last] = given;
    return Kind.from({ length: count }, (_, i) => first + ((last - first) * i) / (count - 1));
  }
  if (form !== "base64") throw new Error("wanted base64, values or range");
  const bytes = bytesOf(given);
  if (bytes.length % ITEM_SIZE[type]) throw new Error(`${bytes.length} bytes do not fill numbers of ${type}`);
  return type === "U8" ? bytes : floats({ dtype: type, bytes });
}

function bytesOf(text) {
  if (typeof text !== "string" || text.length % 4 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) throw new Error("wanted base64 with padding");
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
