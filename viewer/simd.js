/**
 * Dense layers four numbers at a time, with WebAssembly's SIMD: some five times as fast as plain JavaScript.
 *
 *     import { SimdLayers } from "nmap-em-reader/simd";
 *     const map = open(bytes, { Layers: SimdLayers });
 *
 * In float32, as the specification allows. The program is written down here, instruction by instruction.
 */

import { BATCH } from "./src/layers.js";

// Types, and the instructions that are needed, by their names in the WebAssembly specification.
const I32 = 0x7f;
const V128 = 0x7b;
const get = (local) => [0x20, local];
const set = (local) => [0x21, local];
const i32 = (value) => [0x41, ...signed(value)];
const [ADD, MUL, LESS] = [0x6a, 0x6c, 0x48];
const simd = (code, ...more) => [0xfd, ...unsigned(code), ...more];
const load = (offset = 0) => simd(0, 4, ...unsigned(offset));
const splatOf = (offset = 0) => simd(9, 2, ...unsigned(offset));
const store = (offset = 0) => simd(11, 4, ...unsigned(offset));
const vector = (value) => simd(12, ...[0, 1, 2, 3].flatMap(() => [...new Uint8Array(Float32Array.of(value).buffer)]));
const [XOR, SHIFT_LEFT, NEAREST, VADD, VSUB, VMUL, VMAX, TO_INT] = [81, 171, 106, 228, 229, 230, 233, 248].map((code) => simd(code));

function unsigned(value) {
  const out = [];
  do {
    out.push((value & 127) | (value > 127 ? 128 : 0));
    value >>>= 7;
  } while (value);
  return out;
}

function signed(value) {
  const out = [];
  for (;;) {
    const byte = value & 127;
    value >>= 7;
    if ((value === 0 && !(byte & 64)) || (value === -1 && byte & 64)) return [...out, byte];
    out.push(byte | 128);
  }
}

/** Repeats a body while local `counter` is below local `end`, adding `step`. */
function loop(counter, end, step, body) {
  const next = [...get(counter), ...i32(step), ADD, ...set(counter)];
  return [...i32(0), ...set(counter), 0x03, 0x40, ...body, ...next, ...get(counter), ...get(end), LESS, 0x0d, 0, 0x0b];
}

// pi in three parts, for exact multiples of the first two, and sin(r) = r + r^3 (a + b r^2 + c r^4 + d r^6) to 5e-9
// for |r| up to pi / 2 (least squares at Chebyshev nodes).
const PI_PARTS = [3.140625, 9.675025939941406e-4, 1.5099579909783764e-7];
const SINE = [2.5992781948560404e-6, -1.9806202009694816e-4, 8.33301032602755e-3, -0.1666665673136106];

/** sin of local 0; 1 is the multiple of pi, 2 a square. */
function sineBody() {
  const reduce = PI_PARTS.flatMap((part) => [...get(0), ...get(1), ...vector(part), ...VMUL, ...VSUB, ...set(0)]);
  const polynomial = SINE.slice(1).flatMap((c) => [...get(2), ...VMUL, ...vector(c), ...VADD]);
  return [
    ...get(0), ...vector(1 / Math.PI), ...VMUL, ...NEAREST, ...set(1),
    ...reduce,
    ...get(0), ...get(0), ...VMUL, ...set(2),
    ...vector(SINE[0]), ...polynomial, ...get(2), ...VMUL, ...get(0), ...VMUL, ...get(0), ...VADD,
    // Odd multiples of pi turn the sign.
    ...get(1), ...TO_INT, ...i32(31), ...SHIFT_LEFT, ...XOR,
  ];
}

// Activations: none, sine, max(0, x).
const ACTIVATION = { none: 0, sine: 1, rectify: 2 };
const ROWS = 4;
const COLUMNS = 2;

/**
 * out = activation(weight h + bias), four neurons times eight points at a time. Parameters: addresses of weight (four
 * neurons side by side, input by input), bias, h, out; bytes of all inputs (16 each) and of all neurons (4 each);
 * activation.
 */
function denseBody() {
  const [weight, bias, h, out, inputs, outputs, kind, o, p, i, batch] = Array.from({ length: 11 }, (_, n) => n);
  const x = [11, 12];
  const w = 13;
  const sums = Array.from({ length: ROWS * COLUMNS }, (_, n) => 14 + n);
  const tiles = sums.map((local, n) => ({ local, row: Math.floor(n / COLUMNS), column: n % COLUMNS }));
  const begin = tiles.flatMap(({ local, row }) => [...get(bias), ...get(o), ADD, ...splatOf(4 * row), ...set(local)]);
  // The row of input i lies at h + i / 16 * 4 BATCH, and i counts 16 bytes.
  const point = [...get(h), ...get(i), ...i32(BATCH / 4), MUL, ADD, ...get(p), ADD];
  const weights = [...get(weight), ...get(i), ADD];
  const step = [
    ...[0, 1].flatMap((c) => [...point, ...load(16 * c), ...set(x[c])]),
    ...[0, 1, 2, 3].flatMap((row) => [
      ...weights, ...splatOf(4 * row), ...set(w),
      ...tiles.filter((tile) => tile.row === row).flatMap(({ local, column: c }) => [...get(local), ...get(w), ...get(x[c]), ...VMUL, ...VADD, ...set(local)]),
    ]),
  ];
  const activate = tiles.flatMap(({ local }) => [
    ...get(kind), ...i32(ACTIVATION.sine), 0x46, 0x04, 0x40, ...get(local), 0x10, 0, ...set(local), 0x0b,
    ...get(kind), ...i32(ACTIVATION.rectify), 0x46, 0x04, 0x40, ...get(local), ...vector(0), ...VMAX, ...set(local), 0x0b,
  ]);
  const write = tiles.flatMap(({ local, row, column: c }) => [...get(out), ...get(o), ...i32(BATCH), MUL, ADD, ...get(p), ADD, ...get(local), ...store(4 * BATCH * row + 16 * c)]);
  const inner = [...begin, ...loop(i, inputs, 16, step), ...activate, ...write];
  const advance = [...get(weight), ...get(inputs), ADD, ...set(weight)];
  return [...i32(4 * BATCH), ...set(batch), ...loop(o, outputs, 4 * ROWS, [...loop(p, batch, 16 * COLUMNS, inner), ...advance])];
}

const section = (id, content) => [id, ...unsigned(content.length), ...content];
const list = (items) => [...unsigned(items.length), ...items.flat()];
const body = (locals, code) => {
  const whole = [...list(locals.map(([count, type]) => [...unsigned(count), type])), ...code, 0x0b];
  return [...unsigned(whole.length), ...whole];
};

function program() {
  const types = [[0x60, ...list([[V128]]), ...list([[V128]])], [0x60, ...list(Array(7).fill([I32])), 0]];
  const name = (text) => list([...text].map((c) => [c.charCodeAt(0)]));
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, list(types)),
    ...section(2, list([[...name("m"), ...name("m"), 2, 0, 1]])),
    ...section(3, list([[0], [1]])),
    ...section(7, list([[...name("dense"), 0, 1]])),
    ...section(10, list([body([[2, V128]], sineBody()), body([[4, I32], [3 + ROWS * COLUMNS, V128]], denseBody())])),
  ]);
}

const padded = (n, multiple) => Math.ceil(n / multiple) * multiple;

/** The same as `Layers` of the reader, in float32. */
export class SimdLayers {
  /** Whether this engine has what it needs. */
  static isSupported() {
    try {
      return WebAssembly.validate(program());
    } catch {
      return false;
    }
  }

  /** @param layers a list of {weight, bias, activation, omega}, as of `Layers` */
  constructor(layers, inputs) {
    let at = 0;
    const take = (count) => {
      const start = at;
      at += padded(4 * count, 16);
      return start;
    };
    const widest = Math.max(padded(inputs, ROWS), ...layers.map(({ bias }) => padded(bias.length, ROWS)));
    this.buffers = [take(widest * BATCH), take(widest * BATCH)];
    let columns = inputs;
    this.steps = layers.map(({ weight, bias, activation, omega = 1 }) => {
      const outputs = padded(bias.length, ROWS);
      const step = { weight: take(outputs * columns), bias: take(outputs), columns, outputs, kind: ACTIVATION[activation], source: { weight, bias, omega } };
      columns = outputs;
      return step;
    });
    const memory = new WebAssembly.Memory({ initial: Math.ceil(at / 65536) });
    this.memory = new Float32Array(memory.buffer);
    this.inputs = inputs;
    for (const step of this.steps) this.place(step);
    this.dense = new WebAssembly.Instance(new WebAssembly.Module(program()), { m: { m: memory } }).exports.dense;
  }

  /** Weights and biases, times omega, where the program wants them. */
  place({ weight: start, bias: biasStart, columns, source }) {
    const { weight, bias, omega } = source;
    const real = weight.length / bias.length;
    for (let o = 0; o < bias.length; o++) {
      this.memory[biasStart / 4 + o] = omega * bias[o];
      const block = start / 4 + (o - (o % ROWS)) * columns + (o % ROWS);
      for (let i = 0; i < real; i++) this.memory[block + i * ROWS] = omega * weight[o * real + i];
    }
  }

  /** Takes inputs, rows of BATCH; writes the first row of the last layer. */
  run(inputs, points, out) {
    const [a, b] = this.buffers;
    this.memory.set(inputs.subarray(0, this.inputs * BATCH), a / 4);
    let from = a;
    let to = b;
    for (const { weight, bias, columns, outputs, kind } of this.steps) {
      this.dense(weight, bias, from, to, 16 * columns, 4 * outputs, kind);
      [from, to] = [to, from];
    }
    for (let p = 0; p < points; p++) out[p] = this.memory[from / 4 + p];
  }
}
