// What a file says of itself, in words.

/** A size as a person reads it. */
export function size(bytes) {
  if (bytes < 10000) return `${bytes} bytes`;
  return bytes < 1e6 ? `${(bytes / 1e3).toPrecision(3)} kB` : `${(bytes / 1e6).toPrecision(3)} MB`;
}

const number = (value, digits = 3) => Number(Number(value).toPrecision(digits)).toString();

/** What the page shows of a file's record. */
export function told({ source = {}, fit = {}, fidelity = {} }) {
  const notes = Array.isArray(fit.notes) ? fit.notes : [];
  return {
    name: source.file ?? "",
    contourLevel: fidelity.contour_level ?? source.contour_level,
    preset: fit.settings?.preset,
    goal: fit.settings?.target_fsc ?? undefined,
    relativeTo: [...notes.map((note) => note?.facts?.of), ...("half_map_fsc" in fidelity ? ["half-maps"] : [])],
    measuredOn: fidelity.mask,
    worst: fidelity.worst,
    worstTo: fidelity.resolution,
    correlation: fidelity.correlation,
  };
}

const DECIMALS = 4;
const MOST_DECIMALS = 6;

/** A correlation as `nmap.spectrum.floored` writes it: rounded down, so that it never reads as more than was reached. */
export function correlationText(value) {
  if (value >= 1 - 10 ** -MOST_DECIMALS) return Math.min(value, 1).toFixed(DECIMALS);
  const digits = Math.min(Math.max(DECIMALS, 1 - Math.floor(Math.log10(1 - value))), MOST_DECIMALS);
  return (Math.floor(value * 10 ** digits + 1e-9) / 10 ** digits).toFixed(digits);
}

/** The line of facts: what map, how small, how true. */
export function factsLine(about) {
  const { name, shape, voxelSize, bytes, kind, parameters, bandLimit, symmetry, worst, worstTo, correlation, axis } = about;
  const maps = axis ? axis.at.length : 1;
  const whole = maps * (1024 + 4 * shape[0] * shape[1] * shape[2]);
  const parts = [
    `${name || "map"}: ${axis ? `${maps} frames of ` : ""}${shape.join(" × ")} voxels of ${number(voxelSize[0], 4)} Å`,
    `${size(bytes)}, 1/${Math.round(whole / bytes)} of the ${axis ? `${maps} maps'` : "map's"} ${size(whole)}`,
    `${kind}, ${parameters} weights${symmetry === "C1" ? "" : `, ${symmetry}`}`,
    bandLimit ? `nothing finer than ${number(bandLimit)} Å is kept` : "no band limit",
  ];
  if (worst !== undefined) parts.push(`against its source: FSC ${correlationText(worst)} in the worst shell${worstTo ? ` to ${number(worstTo)} Å` : ""}`);
  if (correlation !== undefined) parts.push(`correlation ${correlationText(correlation)}`);
  return parts.join(" · ");
}

/**
 * What a file's record tells of side chains, as nmap/side_chains.py does: "kept", "may-be-missing" or "not-known", and the
 * worst-shell FSC that keeps them. `rule` is that module's table.
 */
export function sideChains({ worst, goal, measuredOn, relativeTo = [] }, rule) {
  const wanted = rule.keptFrom[measuredOn === "envelope" ? "envelope" : "none"];
  const isRelative = relativeTo.some((of) => rule.relative.includes(of));
  let verdict = "may-be-missing";
  if (worst >= wanted) verdict = "kept";
  else if (!(goal < wanted) && (worst === undefined || isRelative)) verdict = "not-known";
  return { verdict, wanted };
}

/** A warning where side chains may be missing; "" where nothing is known against the file. */
export function warningLine(about, rule) {
  const { verdict, wanted } = sideChains(about, rule);
  const { worst, preset, bandLimit, shape } = about;
  if (verdict !== "may-be-missing" || shape?.includes(1)) return "";
  const how = typeof preset === "string" ? `Stored with the preset "${preset}"` : "Stored";
  const at = worst === undefined ? "" : ` at an FSC of ${correlationText(worst)} in the worst shell`;
  const what = bandLimit > rule.shownTo ? "detail" : "side chains";
  return `${how}${at}: ${what} may be missing, the weakest first; ${wanted} keeps them. Do not build or judge them here.`;
}
