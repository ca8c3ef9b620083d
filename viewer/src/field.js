// m . u at box fractions: fold, envelope and network; sections 6.1 to 6.3.

import { BATCH } from "./layers.js";
import { networkOf } from "./networks.js";
import { foldings } from "./symmetry.js";

/** Envelope times network. */
export class Field {
  constructor(metadata, tensors, Layers) {
    const { center, halfWidth } = metadata.frame;
    this.center = center;
    this.halfWidth = halfWidth;
    this.turns = metadata.symmetry ? foldings(metadata.grid, metadata.symmetry) : null;
    this.envelope = tensors.get("envelope") ?? null;
    this.network = networkOf(metadata, tensors, Layers);
    this.t = new Float64Array(3 * BATCH);
    this.value = new Float64Array(BATCH);
    this.share = new Float64Array(BATCH);
    this.place = new Int32Array(BATCH);
    this.count = 0;
    this.at = [0, 0, 0];
  }

  /** Values on a grid of box fractions, along (z, y, x), into `out` in C order. */
  onGrid(fz, fy, fx, out) {
    out.fill(0);
    let index = 0;
    for (const z of fz) for (const y of fy) for (const x of fx) this.push(z, y, x, index++, out);
    this.flush(out);
  }

  /** Values at box fractions, a list of (z, y, x), into `out`. */
  atPoints(fractions, out) {
    out.fill(0);
    fractions.forEach(([z, y, x], index) => this.push(z, y, x, index, out));
    this.flush(out);
  }

  push(fz, fy, fx, index, out) {
    let z = fz;
    let y = fy;
    let x = fx;
    if (this.turns) {
      this.fold(z, y, x);
      [z, y, x] = this.at;
    }
    const share = this.envelope ? this.shareAt(z, y, x) : 1;
    if (share === 0) return;
    const { t, center, halfWidth } = this;
    const p = this.count++;
    t[p] = (z - center[0]) / halfWidth[0];
    t[BATCH + p] = (y - center[1]) / halfWidth[1];
    t[2 * BATCH + p] = (x - center[2]) / halfWidth[2];
    this.share[p] = share;
    this.place[p] = index;
    if (this.count === BATCH) this.flush(out);
  }

  flush(out) {
    if (!this.count) return;
    this.network(this.t, this.count, this.value);
    for (let p = 0; p < this.count; p++) out[this.place[p]] = this.share[p] * this.value[p];
    this.count = 0;
  }

  /** Writes S of a position to `at`. */
  fold(z, y, x) {
    let best = null;
    let highest = -Infinity;
    for (const turn of this.turns) {
      const [a, b, c] = turn.direction;
      const level = a * x + b * y + c * z - turn.level;
      if (level > highest) {
        highest = level;
        best = turn;
      }
    }
    const { matrix: m, shift } = best;
    this.at[2] = m[0] * x + m[1] * y + m[2] * z + shift[0];
    this.at[1] = m[3] * x + m[4] * y + m[5] * z + shift[1];
    this.at[0] = m[6] * x + m[7] * y + m[8] * z + shift[2];
  }

  shareAt(fz, fy, fx) {
    const { values, shape } = this.envelope;
    const [kz, ky, kx] = shape;
    const [z, y, x] = [fz * kz, fy * ky, fx * kx];
    const [z0, y0, x0] = [Math.floor(z), Math.floor(y), Math.floor(x)];
    const [wz, wy, wx] = [z - z0, y - y0, x - x0];
    const [za, zb] = [wrap(z0, kz) * ky, wrap(z0 + 1, kz) * ky];
    const [ya, yb] = [wrap(y0, ky), wrap(y0 + 1, ky)];
    const [xa, xb] = [wrap(x0, kx), wrap(x0 + 1, kx)];
    const row = (r) => values[r * kx + xa] * (1 - wx) + values[r * kx + xb] * wx;
    const v = (row(za + ya) * (1 - wy) + row(za + yb) * wy) * (1 - wz) + (row(zb + ya) * (1 - wy) + row(zb + yb) * wy) * wz;
    return v * v * (3 - 2 * v);
  }
}

function wrap(i, n) {
  return ((i % n) + n) % n;
}
