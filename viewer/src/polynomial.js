// Real trigonometric polynomials over the box: what a band-limited density is (section 6.4).

import { Fft } from "./fft.js";

// Lines that are transformed together: enough for long inner loops, few enough for the cache.
const LINES = 16;

/**
 * Coefficients c(l, k, h) for l from -Kz to Kz, k from -Ky to Ky, h from 0 to Kx, in C order; those of negative h are
 * the conjugates of their mirrors.
 */
export class Polynomial {
  constructor(degree) {
    this.degree = degree;
    const [kz, ky, kx] = degree;
    this.counts = [2 * kz + 1, 2 * ky + 1, kx + 1];
    const size = this.counts[0] * this.counts[1] * this.counts[2];
    this.re = new Float32Array(size);
    this.im = new Float32Array(size);
  }

  /**
   * The discrete Fourier coefficients of real samples.
   * @param shape (nz, ny, nx), each above twice the degree
   * @param plane a function (z, out) that writes the samples of a plane
   */
  static of(shape, degree, plane) {
    const out = new Polynomial(degree);
    const [nz, ny, nx] = shape;
    const [, ky, kx] = degree;
    const columns = (2 * ky + 1) * (kx + 1);
    const re = new Float32Array(nz * columns);
    const im = new Float32Array(nz * columns);
    const samples = new Float32Array(ny * nx);
    const rows = new Rows(ny, nx, ky, kx);
    for (let z = 0; z < nz; z++) {
      plane(z, samples);
      rows.transform(samples, re.subarray(z * columns, (z + 1) * columns), im.subarray(z * columns, (z + 1) * columns));
    }
    const fft = new Fft(nz, LINES);
    for (let start = 0; start < columns; start += LINES) {
      const lines = Math.min(LINES, columns - start);
      load(fft, re, im, nz, columns, start, lines);
      fft.run(-1);
      for (let l = -degree[0]; l <= degree[0]; l++) {
        const from = ((l + nz) % nz) * LINES;
        const to = (l + degree[0]) * columns + start;
        for (let q = 0; q < lines; q++) {
          out.re[to + q] = fft.re[from + q];
          out.im[to + q] = fft.im[from + q];
        }
      }
    }
    return out;
  }

  /** Multiplies every coefficient by factor(l, k, h). */
  scale(factor) {
    const [kz, ky, kx] = this.degree;
    for (let l = -kz, at = 0; l <= kz; l++) {
      for (let k = -ky; k <= ky; k++) {
        for (let h = 0; h <= kx; h++, at++) {
          const value = factor(l, k, h);
          this.re[at] *= value;
          this.im[at] *= value;
        }
      }
    }
  }

  /**
   * Values on a grid along the box's axes, without the modes that it cannot hold.
   * @param axes three of {first, count, step}: samples at box fractions first step, (first + 1) step, ...
   * @param each a function (z, values) that takes the values of a plane, reused for the next
   */
  onGrid(axes, each) {
    const held = this.degree.map((k, axis) => Math.min(k, Math.floor(0.5 / axes[axis].step + 1e-6)));
    const [, hy, hx] = held;
    const columns = (2 * hy + 1) * (hx + 1);
    const { re, im } = this.alongZ(axes[0], held);
    const y = new Sum(axes[1], hy);
    const x = new Sum(axes[2], hx);
    const [nz, ny, nx] = axes.map(({ count }) => count);
    const lineRe = new Float64Array(ny * (hx + 1));
    const lineIm = new Float64Array(ny * (hx + 1));
    const out = new Float32Array(ny * nx);
    for (let z = 0; z < nz; z++) {
      for (let start = 0; start <= hx; start += LINES) {
        const lines = Math.min(LINES, hx + 1 - start);
        y.clear();
        for (let k = -hy; k <= hy; k++) {
          const from = z * columns + (k + hy) * (hx + 1) + start;
          for (let q = 0; q < lines; q++) y.add(k, q, re[from + q], im[from + q]);
        }
        y.run();
        for (let j = 0; j < ny; j++) {
          for (let q = 0; q < lines; q++) {
            lineRe[j * (hx + 1) + start + q] = y.re[(y.from + j) * LINES + q];
            lineIm[j * (hx + 1) + start + q] = y.im[(y.from + j) * LINES + q];
          }
        }
      }
      alongX(x, lineRe, lineIm, ny, nx, hx, out);
      each(z, out);
    }
  }

  /** The sum over l at every z; complex (count, 2 Ky + 1, Kx + 1) for the frequencies held. */
  alongZ(axis, [hz, hy, hx]) {
    const [kz, ky] = this.degree;
    const [, ny, nx] = this.counts;
    const columns = (2 * hy + 1) * (hx + 1);
    const re = new Float32Array(axis.count * columns);
    const im = new Float32Array(axis.count * columns);
    const sum = new Sum(axis, hz);
    for (let k = -hy; k <= hy; k++) {
      for (let start = 0; start <= hx; start += LINES) {
        const lines = Math.min(LINES, hx + 1 - start);
        sum.clear();
        for (let l = -hz; l <= hz; l++) {
          const from = ((l + kz) * ny + k + ky) * nx + start;
          for (let q = 0; q < lines; q++) sum.add(l, q, this.re[from + q], this.im[from + q]);
        }
        sum.run();
        for (let z = 0; z < axis.count; z++) {
          const to = z * columns + (k + hy) * (hx + 1) + start;
          for (let q = 0; q < lines; q++) {
            re[to + q] = sum.re[(sum.from + z) * LINES + q];
            im[to + q] = sum.im[(sum.from + z) * LINES + q];
          }
        }
      }
    }
    return { re, im };
  }

  /** The value at one box fraction (z, y, x). */
  at([fz, fy, fx]) {
    const [kz, ky, kx] = this.degree;
    const [ez, ey, ex] = [waves(fz, kz), waves(fy, ky), waves(fx, kx)];
    let total = 0;
    for (let l = -kz, at = 0; l <= kz; l++) {
      for (let k = -ky; k <= ky; k++) {
        const c = ez.re[l + kz] * ey.re[k + ky] - ez.im[l + kz] * ey.im[k + ky];
        const s = ez.re[l + kz] * ey.im[k + ky] + ez.im[l + kz] * ey.re[k + ky];
        let re = 0.5 * this.re[at];
        let im = 0.5 * this.im[at++];
        for (let h = 1; h <= kx; h++, at++) {
          const wr = ex.re[kx + h];
          const wi = ex.im[kx + h];
          re += this.re[at] * wr - this.im[at] * wi;
          im += this.re[at] * wi + this.im[at] * wr;
        }
        total += c * re - s * im;
      }
    }
    return 2 * total;
  }
}

function waves(fraction, degree) {
  const re = new Float64Array(2 * degree + 1);
  const im = new Float64Array(2 * degree + 1);
  for (let k = -degree; k <= degree; k++) {
    re[k + degree] = Math.cos(2 * Math.PI * k * fraction);
    im[k + degree] = Math.sin(2 * Math.PI * k * fraction);
  }
  return { re, im };
}

function load(fft, re, im, count, columns, start, lines) {
  for (let z = 0; z < count; z++) {
    const from = z * columns + start;
    for (let q = 0; q < lines; q++) {
      fft.re[z * LINES + q] = re[from + q];
      fft.im[z * LINES + q] = im[from + q];
    }
  }
}

/** Real rows to real rows: two of them are the real and the imaginary part of one transform. */
function alongX(sum, lineRe, lineIm, ny, nx, hx, out) {
  for (let start = 0; start < ny; start += 2 * LINES) {
    sum.clear();
    const rows = Math.min(2 * LINES, ny - start);
    for (let row = 0; row < rows; row++) {
      const from = (start + row) * (hx + 1);
      const q = row >> 1;
      const isSecond = row & 1;
      for (let h = 0; h <= hx; h++) {
        const a = lineRe[from + h];
        const b = h ? lineIm[from + h] : 0;
        if (isSecond) sum.add(h, q, -b, a);
        else sum.add(h, q, a, b);
        if (h && isSecond) sum.add(-h, q, b, a);
        else if (h) sum.add(-h, q, a, -b);
      }
    }
    sum.run();
    for (let row = 0; row < rows; row++) {
      const from = row & 1 ? sum.im : sum.re;
      const to = (start + row) * nx;
      for (let i = 0, at = sum.from * LINES + (row >> 1); i < nx; i++, at += LINES) out[to + i] = from[at];
    }
  }
}

/** Sums over the frequencies of an axis at even steps, of several lines at once: by a transform where it can be one. */
class Sum {
  constructor({ first, count, step }, degree) {
    const period = Math.round(1 / step);
    this.first = first;
    this.count = count;
    this.degree = degree;
    this.step = step;
    const isTransform = Math.abs(period * step - 1) * (first + count) < 1e-9 && period >= first + count;
    // Where the samples begin in what `run` leaves.
    this.from = isTransform ? first : 0;
    this.period = isTransform ? period : 2 * degree + 1;
    this.fft = isTransform ? new Fft(period, LINES) : null;
    this.inRe = this.fft ? null : new Float64Array((2 * degree + 1) * LINES);
    this.inIm = this.fft ? null : new Float64Array((2 * degree + 1) * LINES);
    this.outRe = this.fft ? null : new Float64Array(count * LINES);
    this.outIm = this.fft ? null : new Float64Array(count * LINES);
  }

  clear() {
    (this.fft ? this.fft.re : this.inRe).fill(0);
    (this.fft ? this.fft.im : this.inIm).fill(0);
  }

  add(k, line, re, im) {
    const at = (k < 0 ? k + this.period : k) * LINES + line;
    (this.fft ? this.fft.re : this.inRe)[at] += re;
    (this.fft ? this.fft.im : this.inIm)[at] += im;
  }

  run() {
    if (this.fft) this.fft.run(1);
    else this.runDirectly();
  }

  get re() {
    return this.fft ? this.fft.re : this.outRe;
  }

  get im() {
    return this.fft ? this.fft.im : this.outIm;
  }

  runDirectly() {
    this.outRe.fill(0);
    this.outIm.fill(0);
    for (let j = 0; j < this.count; j++) {
      for (let k = -this.degree; k <= this.degree; k++) {
        const angle = 2 * Math.PI * k * (this.first + j) * this.step;
        const c = Math.cos(angle);
        const s = Math.sin(angle);
        const from = (k < 0 ? k + this.period : k) * LINES;
        for (let q = 0; q < LINES; q++) {
          this.outRe[j * LINES + q] += c * this.inRe[from + q] - s * this.inIm[from + q];
          this.outIm[j * LINES + q] += c * this.inIm[from + q] + s * this.inRe[from + q];
        }
      }
    }
  }
}

/** Forward transforms of a plane: real rows, then columns, keeping the frequencies up to (ky, kx). */
class Rows {
  constructor(ny, nx, ky, kx) {
    Object.assign(this, { ny, nx, ky, kx });
    this.x = new Fft(nx, LINES);
    this.y = new Fft(ny, LINES);
    this.re = new Float64Array(ny * (kx + 1));
    this.im = new Float64Array(ny * (kx + 1));
  }

  transform(samples, outRe, outIm) {
    const { ny, nx, kx } = this;
    let any = false;
    for (let start = 0; start < ny; start += 2 * LINES) any = this.row(samples, start, Math.min(2 * LINES, ny - start)) || any;
    if (!any) return;
    for (let start = 0; start <= kx; start += LINES) this.column(start, Math.min(LINES, kx + 1 - start), outRe, outIm);
  }

  /** Rows from `start` on, two in one transform; false if all are zero. */
  row(samples, start, rows) {
    const { nx, kx, x, re, im } = this;
    const part = samples.subarray(start * nx, (start + rows) * nx);
    if (part.every((v) => v === 0)) {
      re.fill(0, start * (kx + 1), (start + rows) * (kx + 1));
      im.fill(0, start * (kx + 1), (start + rows) * (kx + 1));
      return false;
    }
    if (rows < 2 * LINES) x.re.fill(0), x.im.fill(0);
    for (let row = 0; row < rows; row++) {
      const to = row & 1 ? x.im : x.re;
      for (let i = 0, at = row >> 1; i < nx; i++, at += LINES) to[at] = part[row * nx + i];
    }
    x.run(-1);
    for (let row = 0; row < rows; row++) {
      for (let h = 0, to = (start + row) * (kx + 1); h <= kx; h++, to++) {
        const a = h * LINES + (row >> 1);
        const b = ((nx - h) % nx) * LINES + (row >> 1);
        if (row & 1) {
          re[to] = (x.im[a] + x.im[b]) / 2;
          im[to] = (x.re[b] - x.re[a]) / 2;
        } else {
          re[to] = (x.re[a] + x.re[b]) / 2;
          im[to] = (x.im[a] - x.im[b]) / 2;
        }
      }
    }
    return true;
  }

  column(start, lines, outRe, outIm) {
    const { ny, ky, kx, y, re, im } = this;
    load(y, re, im, ny, kx + 1, start, lines);
    y.run(-1);
    for (let k = -ky; k <= ky; k++) {
      const from = ((k + ny) % ny) * LINES;
      const to = (k + ky) * (kx + 1) + start;
      for (let q = 0; q < lines; q++) {
        outRe[to + q] = y.re[from + q];
        outIm[to + q] = y.im[from + q];
      }
    }
  }
}
