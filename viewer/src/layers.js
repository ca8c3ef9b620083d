// Dense layers, in plain JavaScript and float64.

/** Points that go through a network together; a row of values has so many, neuron by neuron. */
export const BATCH = 128;

export class Layers {
  /**
   * @param layers a list of {weight, bias, activation, omega}: weight (outputs, inputs) in C order; activation "sine"
   *   (of omega times the sum), "rectify" or "none"
   * @param inputs of the first one
   */
  constructor(layers, inputs) {
    this.layers = layers.map(({ weight, bias, ...more }) => ({ ...more, weight: Float64Array.from(weight), bias: Float64Array.from(bias) }));
    const widest = Math.max(...layers.map(({ bias }) => bias.length));
    this.inputs = inputs;
    this.buffers = [new Float64Array(widest * BATCH), new Float64Array(widest * BATCH)];
  }

  /** Takes inputs, rows of BATCH; writes the first row of the last layer. */
  run(inputs, points, out) {
    let from = inputs;
    let [to, spare] = this.buffers;
    for (const layer of this.layers) {
      dense(layer, from, to, points);
      for (let at = 0; at < layer.bias.length * BATCH; at += BATCH) ACTIVATIONS[layer.activation](to, at, at + points, layer.omega);
      from = to;
      [to, spare] = [spare, to];
    }
    for (let p = 0; p < points; p++) out[p] = from[p];
  }
}

const ACTIVATIONS = {
  none() {},
  sine(h, from, to, omega) {
    for (let i = from; i < to; i++) h[i] = Math.sin(omega * h[i]);
  },
  rectify(h, from, to) {
    for (let i = from; i < to; i++) if (h[i] < 0) h[i] = 0;
  },
};

/** out = weight h + bias, four inputs at a time. */
function dense({ weight, bias }, h, out, points) {
  const inputs = weight.length / bias.length;
  for (let o = 0; o < bias.length; o++) {
    const to = o * BATCH;
    out.fill(bias[o], to, to + points);
    let i = 0;
    for (; i + 3 < inputs; i += 4) {
      const at = o * inputs + i;
      const w0 = weight[at], w1 = weight[at + 1], w2 = weight[at + 2], w3 = weight[at + 3];
      const a = i * BATCH, b = a + BATCH, c = b + BATCH, d = c + BATCH;
      for (let p = 0; p < points; p++) out[to + p] += w0 * h[a + p] + w1 * h[b + p] + (w2 * h[c + p] + w3 * h[d + p]);
    }
    for (; i < inputs; i++) {
      const w = weight[o * inputs + i];
      for (let p = 0; p < points; p++) out[to + p] += w * h[i * BATCH + p];
    }
  }
}
