// Decodes in a worker, so that the page stays alive. One message, one answer.

import { told } from "./facts.js";
import { at, axisOf, decode, inspect, open, record } from "./reader/nmap.js";
import { SimdLayers } from "./reader/simd.js";
import { fastCount } from "./reader/src/fft.js";
import { statistics } from "./statistics.js";

const OPTIONS = SimdLayers.isSupported() ? { Layers: SimdLayers } : {};
// The file, and its map: of a series that at a position.
let file = null;
let map = null;

const answers = {
  async open({ bytes }) {
    const opened = open(bytes, OPTIONS);
    const { record: groups, dropped } = await record(opened);
    const axis = axisOf(opened);
    file = opened;
    map = axis ? at(file, axis.at[0]) : file;
    return { ...inspect(file), axis, first: firstShape(map.metadata), ...told(groups), dropped };
  },
  turn({ t }) {
    map = at(file, t);
    return {};
  },
  decode({ shape, region }) {
    const density = decode(map, shape, { region });
    return { ...density, statistics: statistics(density.values) };
  },
  measure({ values }) {
    return { values, statistics: statistics(values) };
  },
};

/** Counts that just hold the band limit, where that saves much; null where it does not. */
function firstShape({ band, grid }) {
  if (!band) return null;
  const shape = band.degree.map((k, axis) => Math.min(grid.shape[axis], fastCount(2 * k + 1)));
  const share = shape.reduce((product, n, axis) => (product * n) / grid.shape[axis], 1);
  return share < 0.7 ? shape : null;
}

self.onmessage = async ({ data }) => {
  const { id, what } = data;
  try {
    const answer = await answers[what](data);
    self.postMessage({ id, answer }, answer.values ? [answer.values.buffer] : []);
  } catch (failure) {
    self.postMessage({ id, failure: { name: failure.name, message: failure.message } });
  }
};
