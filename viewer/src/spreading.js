// The kernel by which values at any position are spread over a lattice, or read from one.

/** Lattice points that a value is spread over along an axis, for values good to 1e-5 of their range. */
export const REACH = 8;
// Places between two lattice points for which the kernel is tabulated.
const FINENESS = 1024;

/**
 * Spreading kernel along an axis, "exponential of semicircle": Barnett, Magland and af Klinteberg, SIAM J. Sci. Comput.
 * 41 (2019) C479. Its transform is divided out again.
 */
export class Kernel {
  constructor(count, degree) {
    this.count = count;
    this.degree = degree;
    const oversampling = Math.min(2, count / (2 * degree + 1));
    this.beta = 0.976 * Math.PI * REACH * Math.max(1 - 0.5 / oversampling, 0.5);
    this.table = Float64Array.from({ length: REACH * FINENESS + 2 }, (_, i) => this.value(i / FINENESS - REACH / 2));
  }

  value(distance) {
    const u = (2 * distance) / REACH;
    return Math.abs(u) < 1 ? Math.exp(this.beta * (Math.sqrt(1 - u * u) - 1)) : 0;
  }

  /** Writes the lattice points around a box fraction, and their shares. */
  around(fraction, { at, share }) {
    const { count, table } = this;
    const place = fraction * count;
    const first = Math.ceil(place - REACH / 2);
    const position = (first - place + REACH / 2) * FINENESS;
    const cell = Math.floor(position);
    const part = position - cell;
    let point = first % count;
    if (point < 0) point += count;
    for (let i = 0, t = cell; i < REACH; i++, t += FINENESS) {
      at[i] = point;
      share[i] = table[t] * (1 - part) + table[t + 1] * part;
      if (++point === count) point = 0;
    }
  }

  /** Fourier transform at the frequencies 0 to the degree. */
  transform() {
    const steps = 64 * REACH;
    return Float64Array.from({ length: this.degree + 1 }, (_, k) => {
      let sum = 0;
      for (let i = 0; i < steps; i++) {
        const distance = ((i + 0.5) / steps - 0.5) * REACH;
        sum += this.value(distance) * Math.cos((2 * Math.PI * k * distance) / this.count);
      }
      return (sum * REACH) / steps;
    });
  }
}
