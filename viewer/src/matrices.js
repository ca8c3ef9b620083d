// The coding `matrices`: matrices of whole numbers, each times a step, whose sizes follow from those before.

import { FormatError, shown } from "./errors.js";
import { RangeDecoder } from "./occupancy.js";

const MAX_MATRICES = 64;
const MAX_EDGE = 2 ** 20;
const MAX_DIGITS = 15;
const MAX_BEYOND = 64;
// Contexts of a class: 15 for the number of digits, then three for each number of digits.
const PER_CLASS = 64;
const CLASSES = 96;

/** Rows and columns of each matrix. */
export function matrixShapes(name, text) {
  const refuse = (why) => {
    throw new FormatError(10, `coding of "${shown(name)}" has shapes ${shown(text)}: ${why}`);
  };
  if (typeof text !== "string" || !/^[0-9]{1,7}x[0-9]{1,7}( [0-9]{1,7}x[0-9]{1,7})*$/.test(text)) refuse('wanted a text such as "36x3 36x36"');
  const shapes = text.split(" ").map((part) => part.split("x").map(Number));
  if (shapes.length > MAX_MATRICES) refuse(`at most ${MAX_MATRICES} matrices`);
  if (shapes.flat().some((n) => n < 1 || n > MAX_EDGE)) refuse(`rows and columns of 1 to ${MAX_EDGE}`);
  return shapes;
}

/** All numbers of all matrices, one after the other. */
export function decodeMatrices(stream, shapes, steps) {
  const numbers = new Numbers(stream);
  const out = new Float32Array(shapes.reduce((sum, [rows, columns]) => sum + rows * columns, 0));
  let at = 0;
  shapes.forEach(([rows, columns], index) => {
    const before = new Float64Array(columns);
    let total = 32;
    for (let i = 0, n = 1; i < rows; i++) {
      let row = 0;
      for (let j = 0; j < columns; j++, n++) {
        const mean = Math.max(Math.floor(total / n), 1);
        const down = Math.floor((16 * before[j] + 4 * mean) / (i + 4));
        const along = Math.floor((16 * row + 4 * mean) / (j + 4));
        if (numbers.coder.beyond > MAX_BEYOND) throw new FormatError(11, "the stream of the matrices ends too early");
        const value = numbers.next(Math.max(Math.floor((down * along) / mean), 1));
        const size = Math.abs(value);
        before[j] += size;
        row += size;
        total += 16 * size;
        out[at++] = value * steps[index];
      }
    }
  });
  if (numbers.coder.beyond > MAX_BEYOND) throw new FormatError(11, "the stream of the matrices ends too early");
  return out;
}

class Numbers {
  constructor(stream) {
    this.coder = new RangeDecoder(stream);
    this.zeros = new Int32Array(CLASSES * PER_CLASS);
    this.ones = new Int32Array(CLASSES * PER_CLASS);
    this.grows = new Float64Array(MAX_DIGITS);
  }

  plain(chance) {
    return this.coder.bit(Math.min(Math.max(chance, 32), 65504));
  }

  learned(context, expected) {
    const { zeros, ones } = this;
    const z = zeros[context];
    const o = ones[context];
    const bit = this.plain(Math.floor((131072 * o + 16 * expected) / (2 * (z + o) + 16)));
    (bit ? ones : zeros)[context]++;
    if (z + o >= 1000) {
      zeros[context] >>= 1;
      ones[context] >>= 1;
    }
    return bit;
  }

  /** The next number, where 16 times its size is expected to be this. */
  next(expected) {
    const { grows } = this;
    const digits = Math.floor(Math.log2(expected)) + 1;
    const second = digits > 1 && Math.floor(expected / 2 ** (digits - 2)) % 2;
    const context = PER_CLASS * (2 * digits + (second ? 1 : 0));
    // 65536 E div (E + 16), without numbers too large to be exact.
    grows[0] = 65536 - Math.ceil(2 ** 20 / (expected + 16));
    for (let p = 1; p < MAX_DIGITS; p++) grows[p] = Math.floor((grows[p - 1] * grows[p - 1]) / 65536);
    let d = 0;
    while (d < MAX_DIGITS && this.learned(context + d, grows[Math.max(d - 1, 0)])) d++;
    if (!d) return 0;
    let size = 1;
    for (let place = d - 2; place >= 0; place--) {
      const chance = Math.floor((65536 * grows[place]) / (65536 + grows[place]));
      // `size` is 1 at the first place and 2 or 3 at the second.
      const bit = place >= d - 3 ? this.learned(context + MAX_DIGITS + 3 * d + size - 1, chance) : this.plain(chance);
      size = 2 * size + bit;
    }
    return this.plain(32768) ? -size : size;
  }
}
