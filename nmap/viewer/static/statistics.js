// What the level slider needs to know of a density.

const BINS = 4096;

/** Mean, standard deviation (sigma), extremes and a histogram from the lowest to the highest value. */
export function statistics(values) {
  let min = Infinity;
  let max = -Infinity;
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const v = values[i];
    if (v < min) min = v;
    if (v > max) max = v;
    sum += v;
  }
  const mean = sum / values.length;
  const histogram = new Uint32Array(BINS);
  const perBin = max > min ? BINS / (max - min) : 0;
  let squares = 0;
  for (let i = 0; i < values.length; i++) {
    const apart = values[i] - mean;
    squares += apart * apart;
    histogram[Math.min(BINS - 1, Math.floor((values[i] - min) * perBin))]++;
  }
  return { min, max, mean, sigma: Math.sqrt(squares / values.length), histogram };
}

/** The level that this share of the values lies above. */
export function levelAbove({ min, max, histogram }, share) {
  const total = histogram.reduce((a, b) => a + b, 0);
  let above = 0;
  for (let bin = BINS - 1; bin >= 0; bin--) {
    above += histogram[bin];
    if (above >= share * total) return min + ((bin + 0.5) / BINS) * (max - min);
  }
  return min;
}
