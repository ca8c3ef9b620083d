// What a file says of itself, in words.

/** A size as a person reads it. */
export function size(bytes) {
  if (bytes < 10000) return `${bytes} bytes`;
  return bytes < 1e6 ? `${(bytes / 1e3).toPrecision(3)} kB` : `${(bytes / 1e6).toPrecision(3)} MB`;
}

const number = (value, digits = 3) => Number(Number(value).toPrecision(digits)).toString();

/** The line of facts: what map, how small, how true. */
export function factsLine(about) {
  const { name, shape, voxelSize, bytes, kind, parameters, bandLimit, symmetry, worst, worstTo, correlation } = about;
  const whole = 1024 + 4 * shape[0] * shape[1] * shape[2];
  const parts = [
    `${name || "map"}: ${shape.join(" × ")} voxels of ${number(voxelSize[0], 4)} Å`,
    `${size(bytes)}, 1/${Math.round(whole / bytes)} of the map's ${size(whole)}`,
    `${kind}, ${parameters} weights${symmetry === "C1" ? "" : `, ${symmetry}`}`,
    bandLimit ? `nothing finer than ${number(bandLimit)} Å is kept` : "no band limit",
  ];
  if (worst !== undefined) parts.push(`against its source: FSC ${number(worst)} in the worst shell${worstTo ? ` to ${number(worstTo)} Å` : ""}`);
  if (correlation !== undefined) parts.push(`correlation ${number(correlation)}`);
  return parts.join(" · ");
}

// Below this, in the worst Fourier shell, side chains were seen to fade (mean Q of haemoglobin falls by 0.07 at 0.9).
const SIDE_CHAINS = 0.98;

/** A warning where the file loses side chains; "" where nothing is known against it. */
export function warningLine({ worst, preset }) {
  if (worst === undefined || worst >= SIDE_CHAINS) return "";
  const how = typeof preset === "string" ? `Stored with the preset "${preset}"` : "Stored";
  return `${how} at an FSC of ${number(worst)} in the worst shell: side chains may be weaker than in the source, or missing. Do not build or judge them here.`;
}
