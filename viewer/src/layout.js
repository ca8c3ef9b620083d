// The bytes of a file: JSON header, tensors that tile the rest. Section 1, and checks 1 to 6 and 9 of section 5.

import { AppendedDataError, FormatError, shown } from "./errors.js";
import { parseObject } from "./json.js";
import { sha256 } from "./sha256.js";

const MAX_HEADER = 2 ** 20;
const MAX_BYTES = 2 ** 30;
const MAX_TENSORS = 256;
const MAX_AXES = 4;
const OPAQUE = "hdf5.";
const RECORD = "record";
const NAME = /^[A-Za-z0-9._-]{1,128}$/;
const ITEM_SIZE = { F32: 4, F16: 2, BF16: 2, U8: 1 };
const TENSOR_KEYS = "data_offsets,dtype,shape";

/**
 * The parts of a file.
 * @param {Uint8Array} bytes all of it
 * @returns {{text: string, metadata: object, tensors: Map, hasHdf5: boolean, prefix: number}} text and value of the
 *   metadata; tensors by name, each with dtype, shape and its bytes, record and HDF5 part left out
 */
export function readLayout(bytes) {
  const n = headerSize(bytes);
  if (bytes.length < 8 + n) throw new FormatError(2, `truncated file: ${bytes.length} bytes, the JSON header alone ends at ${8 + n}`);
  const header = parseObject(decodeText(bytes.subarray(8, 8 + n)), "JSON header");
  const notes = header.__metadata__;
  delete header.__metadata__;
  if (notes === null || typeof notes !== "object" || typeof notes.nmap !== "string") {
    throw new FormatError(3, 'JSON header without "__metadata__" that has a string "nmap": not a .nmap file');
  }
  const names = Object.keys(header);
  if (names.length > MAX_TENSORS) throw new FormatError(4, `${names.length} tensors, at most ${MAX_TENSORS}`);
  const entries = names.map((name) => entry(name, header[name])).sort((a, b) => a.begin - b.begin || a.end - b.end);
  const length = tile(entries);
  const hasHdf5 = entries.some(({ name }) => name.startsWith(OPAQUE));
  const kept = entries.filter(({ name }) => name !== RECORD && !name.startsWith(OPAQUE));
  checkLength(bytes.length, 8 + n + length, hasHdf5);
  const tensors = new Map();
  for (const { name, dtype, shape, begin, end } of kept) {
    tensors.set(name, { dtype, shape, bytes: bytes.subarray(8 + n + begin, 8 + n + end) });
  }
  const metadata = parseObject(notes.nmap, "metadata");
  return { text: notes.nmap, metadata, tensors, hasHdf5, prefix: 8 + n };
}

/** Check 9: the checksum of section 4. */
export function checkSum(layout) {
  const { text, metadata, tensors } = layout;
  const utf8 = new TextEncoder();
  const parts = [utf8.encode(text.replace(metadata.sha256, "0".repeat(64)))];
  for (const name of [...tensors.keys()].sort()) {
    const { dtype, shape, bytes } = tensors.get(name);
    parts.push(utf8.encode(`${name} ${dtype} ${shape.join(",")}\n`), bytes);
  }
  if (sha256(parts) !== metadata.sha256) throw new FormatError(9, "the sha256 does not fit: the file is damaged");
}

function headerSize(bytes) {
  if (bytes.length < 8) throw new FormatError(1, `truncated file: ${bytes.length} bytes, a .nmap file has at least 8`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, 8);
  const n = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
  if (n < 2 || n > MAX_HEADER) throw new FormatError(1, `JSON header of ${n} bytes, wanted 2 to ${MAX_HEADER}: not a .nmap file`);
  return n;
}

function decodeText(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new FormatError(2, "JSON header is not valid JSON: not UTF-8");
  }
}

function isCounts(value) {
  return Array.isArray(value) && value.every((n) => Number.isInteger(n) && n >= 0 && n <= 2 ** 40);
}

function entry(name, value) {
  if (!NAME.test(name)) throw new FormatError(4, `tensor name "${shown(name)}", wanted 1 to 128 of the characters A-Z a-z 0-9 . _ -`);
  const isObject = value !== null && typeof value === "object" && !Array.isArray(value);
  if (!isObject || Object.keys(value).sort().join() !== TENSOR_KEYS) {
    throw new FormatError(4, `tensor "${name}": wanted an object with dtype, shape and data_offsets`);
  }
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string" || !Object.hasOwn(ITEM_SIZE, dtype)) throw new FormatError(4, `tensor "${name}" has dtype ${shown(dtype)}`);
  if (!isCounts(shape) || shape.length > MAX_AXES) throw new FormatError(4, `tensor "${name}" has shape ${shown(shape)}, wanted up to ${MAX_AXES} counts`);
  if (!isCounts(offsets) || offsets.length !== 2 || offsets[0] > offsets[1]) {
    throw new FormatError(4, `tensor "${name}" has data_offsets ${shown(offsets)}, wanted [begin, end]`);
  }
  const [begin, end] = offsets;
  const wanted = shape.reduce((a, b) => a * b, ITEM_SIZE[dtype]);
  if (end - begin !== wanted) throw new FormatError(4, `tensor "${name}" has ${end - begin} bytes, its shape wants ${wanted}`);
  return { name, dtype, shape, begin, end };
}

/** Check 5; the bytes of all tensors. */
function tile(entries) {
  let at = 0;
  for (const { name, begin, end } of entries) {
    if (begin !== at) throw new FormatError(5, `tensor "${name}" begins at ${begin}, wanted ${at}: ${begin > at ? "a hole" : "an overlap"}`);
    at = end;
  }
  if (at > MAX_BYTES) throw new FormatError(5, `${at} bytes of tensors, at most ${MAX_BYTES}`);
  return at;
}

function checkLength(length, declared, hasHdf5) {
  if (length < declared) throw new FormatError(6, `truncated file: ${length} bytes, its header declares ${declared}`);
  if (length > declared) {
    const cause = hasHdf5 ? "an HDF5 program has probably written into it" : "something was appended";
    throw new AppendedDataError(6, `bytes after the declared end at ${declared}: ${cause}; "nmap repair" restores the file`);
  }
}
