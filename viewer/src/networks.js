// The model kinds that have a value at every point: their pages in the specification, and their part of check 13.

import { FormatError, UnsupportedError, shown } from "./errors.js";
import { blockValues, checkBlocks } from "./blocks.js";
import { BATCH } from "./layers.js";
import { checkRadialBasis } from "./radial.js";
import { checkSeries } from "./series.js";

function refuse(message) {
  throw new FormatError(13, message);
}

/** Places of the layers that siren and fourier-features share, for a width w and so many inputs. */
function layerPlaces(tensors, inputs) {
  const w = tensors.get("first.bias")?.shape[0] ?? 0;
  const layers = tensors.get("hidden.bias")?.shape[0] ?? 0;
  return {
    "first.weight": [w, inputs],
    "first.bias": [w],
    "hidden.weight": [layers, w, w],
    "hidden.bias": [layers, w],
    "last.weight": [1, w],
    "last.bias": [1],
  };
}

/** Tensors and places must be the same, name by name. */
function fit(tensors, places) {
  for (const name of tensors.keys()) {
    if (!Object.hasOwn(places, name) && name !== "gains" && name !== "envelope") refuse(`tensor "${name}" has no place in the network`);
  }
  for (const [name, shape] of Object.entries(places)) {
    const found = tensors.get(name);
    if (!found) refuse(`tensor "${name}" is missing`);
    if (found.shape.length !== shape.length || found.shape.some((n, i) => n !== shape[i])) {
      refuse(`tensor "${name}" has shape [${found.shape}], wanted [${shape}]`);
    }
  }
}

/** Layers of the tensors, each with what follows it; `omegas` for sines, none for max(0, x). */
function layersOf(tensors, inputs, omegas, Layers) {
  const values = (name) => tensors.get(name).values;
  const width = values("first.bias").length;
  const activation = omegas ? "sine" : "rectify";
  const layers = [{ weight: values("first.weight"), bias: values("first.bias"), activation, omega: omegas?.[0] }];
  for (let i = 0; i < tensors.get("hidden.bias").shape[0]; i++) {
    const weight = values("hidden.weight").subarray(i * width * width, (i + 1) * width * width);
    layers.push({ weight, bias: values("hidden.bias").subarray(i * width, (i + 1) * width), activation, omega: omegas?.[i + 1] });
  }
  const last = omegas?.length > layers.length ? { activation: "sine", omega: omegas.at(-1) } : { activation: "none" };
  layers.push({ weight: values("last.weight"), bias: values("last.bias"), ...last });
  return new Layers(layers, inputs);
}

const siren = {
  check(tensors, { model }) {
    fit(tensors, layerPlaces(tensors, 3));
    const { omegas, output } = model;
    if (output !== "linear" && output !== "sine") refuse(`model.output is ${shown(output)}, wanted "linear" or "sine"`);
    const wanted = tensors.get("hidden.bias").shape[0] + (output === "sine" ? 2 : 1);
    if (!Array.isArray(omegas) || omegas.length !== wanted) refuse(`model.omegas is ${shown(omegas)}, wanted ${wanted} numbers`);
  },
  network(tensors, { model }, Layers) {
    const layers = layersOf(tensors, 3, model.omegas, Layers);
    return (t, count, out) => layers.run(t, count, out);
  },
};

const fourierFeatures = {
  check(tensors) {
    const m = tensors.get("amplitudes")?.shape[0] ?? 0;
    fit(tensors, { frequencies: [m, 3], amplitudes: [m], ...layerPlaces(tensors, 2 * m) });
  },
  network(tensors, metadata, Layers) {
    const frequencies = tensors.get("frequencies").values;
    const amplitudes = tensors.get("amplitudes").values;
    const m = amplitudes.length;
    const layers = layersOf(tensors, 2 * m, null, Layers);
    const gamma = new Float64Array(2 * m * BATCH);
    return (t, count, out) => {
      for (let i = 0; i < m; i++) {
        const [a, b, c] = frequencies.subarray(3 * i, 3 * i + 3);
        for (let p = 0; p < count; p++) {
          const phase = 2 * Math.PI * (a * t[p] + b * t[BATCH + p] + c * t[2 * BATCH + p]);
          gamma[i * BATCH + p] = amplitudes[i] * Math.cos(phase);
          gamma[(m + i) * BATCH + p] = amplitudes[i] * Math.sin(phase);
        }
      }
      layers.run(gamma, count, out);
    };
  },
};

// Sites, not points: radial.js makes its coefficients.
const radialBasis = {
  check(tensors, metadata) {
    if (tensors.has("envelope")) refuse("an envelope, which the kind radial-basis must not have");
    checkRadialBasis(metadata, tensors);
    fit(tensors, { weights: metadata.lattice });
  },
  network: null,
};

const blockSiren = {
  check(tensors, metadata) {
    checkBlocks(metadata, tensors);
    fit(tensors, { network: tensors.get("network").shape });
  },
  network: null,
  onLattice: blockValues,
};

// No density without a position: series.js makes a block-siren of it there.
const seriesSiren = {
  features: ["series"],
  check(tensors, metadata) {
    checkSeries(metadata, tensors);
    fit(tensors, { network: tensors.get("network").shape });
  },
  network: null,
  onLattice() {
    throw new RangeError("a series of maps: take it at a position first, at(map, t)");
  },
};

const KINDS = {
  siren,
  "fourier-features": fourierFeatures,
  "radial-basis": radialBasis,
  "block-siren": blockSiren,
  "series-siren": seriesSiren,
};

/** Check 13, and that of the gains and the envelope, which any kind may have. */
export function checkModel(metadata, tensors) {
  const { kind } = metadata.model;
  if (!Object.hasOwn(KINDS, kind)) throw new UnsupportedError(13, `the model kind "${shown(kind)}", which this reader does not have`);
  const { features = [] } = KINDS[kind];
  if (metadata.features.length !== features.length || features.some((name, i) => metadata.features[i] !== name)) {
    refuse(`must_understand is ${shown(metadata.features)}, wanted ${shown(features)} of the kind ${kind}`);
  }
  KINDS[kind].check(tensors, metadata);
  const envelope = tensors.get("envelope");
  if (envelope && envelope.shape.length !== 3) refuse(`tensor "envelope" has shape [${envelope.shape}], wanted three counts`);
  if (envelope?.values.some((v) => v !== 0 && v !== 1)) refuse('tensor "envelope" has values that are not 0 or 1');
  const gains = tensors.get("gains");
  if (!gains) return;
  const { band } = metadata;
  if (!band) throw new FormatError(14, "gains without a band limit");
  if (gains.shape.length !== 1 || gains.shape[0] !== band.lastShell + 1) {
    throw new FormatError(14, `gains of shape [${gains.shape}], wanted [${band.lastShell + 1}]: one for each shell`);
  }
}

/**
 * The network of a file: a function (t, count, out) of coordinates t, three rows (z, y, x) of BATCH; null if it has
 * no value at single points.
 */
export function networkOf(metadata, tensors, Layers) {
  return KINDS[metadata.model.kind].network?.(tensors, metadata, Layers) ?? null;
}

/** m . u on the lattice, of a kind that has values there only; null of any other. */
export function latticeValues(metadata, tensors, field, Layers) {
  return KINDS[metadata.model.kind].onLattice?.(metadata, tensors, field, Layers) ?? null;
}
