// Fast Fourier transforms of any length, of many lines at once, and the sums over modes of section 6.4.

const LARGEST_RADIX = 61;

function factors(n) {
  const out = [];
  for (const r of [4, 2, 3, 5]) while (n % r === 0) out.push(r), (n /= r);
  for (let r = 7; n > 1; r += 2) while (n % r === 0) out.push(r), (n /= r);
  return out;
}

/** The smallest count from n on with no prime factor above 5. */
export function fastCount(n) {
  while (factors(n).some((r) => r > 5)) n++;
  return n;
}

/**
 * Complex transforms along the first axis of (n, lines), in `re` and `im`. Not normalised.
 * Stockham's self-sorting order; lengths with a large prime factor by Bluestein's convolution.
 */
export class Fft {
  constructor(n, lines) {
    this.n = n;
    this.lines = lines;
    this.factors = factors(n);
    this.re = new Float64Array(n * lines);
    this.im = new Float64Array(n * lines);
    this.nextRe = new Float64Array(n * lines);
    this.nextIm = new Float64Array(n * lines);
    this.cos = Float64Array.from({ length: n }, (_, i) => Math.cos((2 * Math.PI * i) / n));
    this.sin = Float64Array.from({ length: n }, (_, i) => Math.sin((2 * Math.PI * i) / n));
    if (this.factors.some((r) => r > LARGEST_RADIX)) this.chirp = new Chirp(n, lines);
  }

  /** Transforms with exp(sign 2 pi i j k / n). */
  run(sign) {
    if (this.chirp) return this.chirp.run(this, sign);
    let rest = this.n;
    let stride = this.lines;
    for (const radix of this.factors) {
      rest /= radix;
      PASSES[radix] ? PASSES[radix](this, rest, stride, sign) : generalPass(this, radix, rest, stride, sign);
      [this.re, this.nextRe] = [this.nextRe, this.re];
      [this.im, this.nextIm] = [this.nextIm, this.im];
      stride *= radix;
    }
  }
}

// Each pass takes a_k = x[q + stride (p + rest k)] to y[q + stride (radix p + j)] = (DFT of a)_j w^(j p).
const PASSES = { 2: pass2, 3: pass3, 4: pass4, 5: pass5 };

function pass2({ n, re, im, nextRe, nextIm, cos, sin }, rest, stride, sign) {
  const far = stride * rest;
  const turn = n / (2 * rest);
  for (let p = 0; p < rest; p++) {
    const c = cos[p * turn];
    const s = sign * sin[p * turn];
    for (let q = 0, a = stride * p, b = 2 * stride * p; q < stride; q++, a++, b++) {
      const x = re[a] - re[a + far];
      const y = im[a] - im[a + far];
      nextRe[b] = re[a] + re[a + far];
      nextIm[b] = im[a] + im[a + far];
      nextRe[b + stride] = c * x - s * y;
      nextIm[b + stride] = c * y + s * x;
    }
  }
}

function pass3({ n, re, im, nextRe, nextIm, cos, sin }, rest, stride, sign) {
  const far = stride * rest;
  const turn = n / (3 * rest);
  const h = sign * Math.sqrt(0.75);
  for (let p = 0; p < rest; p++) {
    const c1 = cos[p * turn];
    const s1 = sign * sin[p * turn];
    const c2 = cos[2 * p * turn];
    const s2 = sign * sin[2 * p * turn];
    for (let q = 0, a = stride * p, b = 3 * stride * p; q < stride; q++, a++, b++) {
      const x0 = re[a], y0 = im[a];
      const x1 = re[a + far], y1 = im[a + far];
      const x2 = re[a + 2 * far], y2 = im[a + 2 * far];
      const xs = x1 + x2, ys = y1 + y2;
      const xd = -h * (y1 - y2), yd = h * (x1 - x2);
      const xm = x0 - 0.5 * xs, ym = y0 - 0.5 * ys;
      nextRe[b] = x0 + xs;
      nextIm[b] = y0 + ys;
      nextRe[b + stride] = c1 * (xm + xd) - s1 * (ym + yd);
      nextIm[b + stride] = c1 * (ym + yd) + s1 * (xm + xd);
      nextRe[b + 2 * stride] = c2 * (xm - xd) - s2 * (ym - yd);
      nextIm[b + 2 * stride] = c2 * (ym - yd) + s2 * (xm - xd);
    }
  }
}

function pass4({ n, re, im, nextRe, nextIm, cos, sin }, rest, stride, sign) {
  const far = stride * rest;
  const turn = n / (4 * rest);
  for (let p = 0; p < rest; p++) {
    const c1 = cos[p * turn], s1 = sign * sin[p * turn];
    const c2 = cos[2 * p * turn], s2 = sign * sin[2 * p * turn];
    const c3 = cos[3 * p * turn], s3 = sign * sin[3 * p * turn];
    for (let q = 0, a = stride * p, b = 4 * stride * p; q < stride; q++, a++, b++) {
      const xs = re[a] + re[a + 2 * far], ys = im[a] + im[a + 2 * far];
      const xd = re[a] - re[a + 2 * far], yd = im[a] - im[a + 2 * far];
      const xt = re[a + far] + re[a + 3 * far], yt = im[a + far] + im[a + 3 * far];
      const xe = -sign * (im[a + far] - im[a + 3 * far]), ye = sign * (re[a + far] - re[a + 3 * far]);
      nextRe[b] = xs + xt;
      nextIm[b] = ys + yt;
      nextRe[b + stride] = c1 * (xd + xe) - s1 * (yd + ye);
      nextIm[b + stride] = c1 * (yd + ye) + s1 * (xd + xe);
      nextRe[b + 2 * stride] = c2 * (xs - xt) - s2 * (ys - yt);
      nextIm[b + 2 * stride] = c2 * (ys - yt) + s2 * (xs - xt);
      nextRe[b + 3 * stride] = c3 * (xd - xe) - s3 * (yd - ye);
      nextIm[b + 3 * stride] = c3 * (yd - ye) + s3 * (xd - xe);
    }
  }
}

const C5 = [Math.cos((2 * Math.PI) / 5), Math.cos((4 * Math.PI) / 5)];
const S5 = [Math.sin((2 * Math.PI) / 5), Math.sin((4 * Math.PI) / 5)];

function pass5({ n, re, im, nextRe, nextIm, cos, sin }, rest, stride, sign) {
  const far = stride * rest;
  const turn = n / (5 * rest);
  const [ca, cb] = C5;
  const sa = sign * S5[0], sb = sign * S5[1];
  for (let p = 0; p < rest; p++) {
    const c1 = cos[p * turn], s1 = sign * sin[p * turn];
    const c2 = cos[2 * p * turn], s2 = sign * sin[2 * p * turn];
    const c3 = cos[3 * p * turn], s3 = sign * sin[3 * p * turn];
    const c4 = cos[4 * p * turn], s4 = sign * sin[4 * p * turn];
    for (let q = 0, a = stride * p, b = 5 * stride * p; q < stride; q++, a++, b++) {
      const x0 = re[a], y0 = im[a];
      const xa = re[a + far] + re[a + 4 * far], ya = im[a + far] + im[a + 4 * far];
      const xb = re[a + 2 * far] + re[a + 3 * far], yb = im[a + 2 * far] + im[a + 3 * far];
      const xc = re[a + far] - re[a + 4 * far], yc = im[a + far] - im[a + 4 * far];
      const xd = re[a + 2 * far] - re[a + 3 * far], yd = im[a + 2 * far] - im[a + 3 * far];
      const u1 = x0 + ca * xa + cb * xb, v1 = y0 + ca * ya + cb * yb;
      const u2 = x0 + cb * xa + ca * xb, v2 = y0 + cb * ya + ca * yb;
      const m1 = -(sa * yc + sb * yd), w1 = sa * xc + sb * xd;
      const m2 = -(sb * yc - sa * yd), w2 = sb * xc - sa * xd;
      nextRe[b] = x0 + xa + xb;
      nextIm[b] = y0 + ya + yb;
      nextRe[b + stride] = c1 * (u1 + m1) - s1 * (v1 + w1);
      nextIm[b + stride] = c1 * (v1 + w1) + s1 * (u1 + m1);
      nextRe[b + 2 * stride] = c2 * (u2 + m2) - s2 * (v2 + w2);
      nextIm[b + 2 * stride] = c2 * (v2 + w2) + s2 * (u2 + m2);
      nextRe[b + 3 * stride] = c3 * (u2 - m2) - s3 * (v2 - w2);
      nextIm[b + 3 * stride] = c3 * (v2 - w2) + s3 * (u2 - m2);
      nextRe[b + 4 * stride] = c4 * (u1 - m1) - s4 * (v1 - w1);
      nextIm[b + 4 * stride] = c4 * (v1 - w1) + s4 * (u1 - m1);
    }
  }
}

function generalPass({ n, re, im, nextRe, nextIm, cos, sin }, radix, rest, stride, sign) {
  for (let p = 0; p < rest; p++) {
    for (let j = 0; j < radix; j++) {
      const b = stride * (radix * p + j);
      nextRe.fill(0, b, b + stride);
      nextIm.fill(0, b, b + stride);
      for (let k = 0; k < radix; k++) {
        const angle = (((j * k) % radix) * (n / radix) + j * p * (n / (radix * rest))) % n;
        const c = cos[angle];
        const s = sign * sin[angle];
        const a = stride * (p + rest * k);
        for (let q = 0; q < stride; q++) {
          nextRe[b + q] += c * re[a + q] - s * im[a + q];
          nextIm[b + q] += c * im[a + q] + s * re[a + q];
        }
      }
    }
  }
}

/** Bluestein: a transform of n as a convolution with a chirp, of a fast length. */
class Chirp {
  constructor(n, lines) {
    this.inner = new Fft(fastCount(2 * n - 1), lines);
    const kernel = new Fft(this.inner.n, 1);
    // exp(i pi j^2 / n); j^2 modulo 2 n keeps the angle small.
    const angles = Array.from({ length: n }, (_, j) => (Math.PI * ((j * j) % (2 * n))) / n);
    this.cos = angles.map(Math.cos);
    this.sin = angles.map(Math.sin);
    for (let j = 0; j < n; j++) {
      for (const at of [j, (kernel.n - j) % kernel.n]) {
        kernel.re[at] = this.cos[j];
        kernel.im[at] = this.sin[j];
      }
    }
    kernel.run(-1);
    this.kernel = kernel;
  }

  run(outer, sign) {
    const { inner, kernel, cos, sin } = this;
    const { n, lines } = outer;
    inner.re.fill(0);
    inner.im.fill(0);
    // The chirp is that of sign -1; for +1 both ends are conjugated.
    for (let j = 0, at = 0; j < n; j++) {
      for (let q = 0; q < lines; q++, at++) {
        const x = outer.re[at];
        const y = -sign * outer.im[at];
        inner.re[at] = x * cos[j] + y * sin[j];
        inner.im[at] = y * cos[j] - x * sin[j];
      }
    }
    inner.run(-1);
    for (let j = 0, at = 0; j < inner.n; j++) {
      for (let q = 0; q < lines; q++, at++) {
        const x = inner.re[at];
        inner.re[at] = (x * kernel.re[j] - inner.im[at] * kernel.im[j]) / inner.n;
        inner.im[at] = (x * kernel.im[j] + inner.im[at] * kernel.re[j]) / inner.n;
      }
    }
    inner.run(1);
    for (let j = 0, at = 0; j < n; j++) {
      for (let q = 0; q < lines; q++, at++) {
        const x = inner.re[at];
        const y = inner.im[at];
        outer.re[at] = x * cos[j] + y * sin[j];
        outer.im[at] = -sign * (y * cos[j] - x * sin[j]);
      }
    }
  }
}
