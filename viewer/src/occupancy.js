// The adaptive binary range coder, and the coding `occupancy`.

const TOP = 2 ** 32;

/** Decodes bits of a stream, most significant byte first; bytes after the end are 0. */
export class RangeDecoder {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
    this.low = 0;
    this.high = TOP - 1;
    this.code = 0;
    for (let i = 0; i < 4; i++) this.code = this.code * 256 + this.next();
  }

  next() {
    return this.at < this.bytes.length ? this.bytes[this.at++] : (this.at++, 0);
  }

  /** How many bytes after the end were read. */
  get beyond() {
    return Math.max(0, this.at - this.bytes.length);
  }

  /** The next bit; `chance` is that of a one, out of 65536. */
  bit(chance) {
    const middle = this.low + Math.floor(((this.high - this.low) * chance) / 65536);
    const one = this.code <= middle;
    if (one) this.high = middle;
    else this.low = middle + 1;
    while (((this.low ^ this.high) & 0xff000000) === 0) {
      this.low = (this.low << 8) >>> 0;
      this.high = ((this.high << 8) | 255) >>> 0;
      this.code = ((this.code << 8) | this.next()) >>> 0;
    }
    return one ? 1 : 0;
  }
}

/** The bits of a grid (kz, ky, kx), one byte each, in C order. */
export function decodeOccupancy(bytes, [kz, ky, kx]) {
  const coder = new RangeDecoder(bytes);
  const zeros = new Float64Array(64);
  const ones = new Float64Array(64);
  // A border of zeros: one plane before, one row before and after, one cell before and after.
  const wy = kx + 2;
  const wz = (ky + 2) * wy;
  const cells = new Uint8Array((kz + 1) * wz);
  const out = new Uint8Array(kz * ky * kx);
  let at = 0;
  for (let z = 0; z < kz; z++) {
    for (let y = 0; y < ky; y++) {
      let p = (z + 1) * wz + (y + 1) * wy + 1;
      for (let x = 0; x < kx; x++, p++) {
        const context =
          cells[p - 1] | (cells[p - wy] << 1) | (cells[p - wz] << 2) |
          (cells[p - wy + 1] << 3) | (cells[p - wz + 1] << 4) | (cells[p - wz + wy] << 5);
        const o = ones[context];
        const share = Math.floor((65536 * (4 * o + 1)) / (4 * (zeros[context] + o) + 2));
        const bit = coder.bit(Math.min(Math.max(share, 32), 65504));
        if (bit) ones[context]++;
        else zeros[context]++;
        out[at++] = cells[p] = bit;
      }
    }
  }
  return out;
}
