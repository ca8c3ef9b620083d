/** Reader of `.nmap` files. Shapes are (z, y, x), x fastest; positions and lengths (x, y, z), Angstrom. */

export type Triple = [number, number, number];

/** A file that breaks the format; `check` is the number in section 5 of the specification. */
export class FormatError extends Error {
  readonly check: number;
}
/** A file that needs a version, feature, model kind or coding that this reader does not have. */
export class UnsupportedError extends FormatError {}
/** A file with bytes after its end, as an HDF5 program leaves them. */
export class AppendedDataError extends FormatError {}
/** A request for more samples than allowed. */
export class LimitError extends Error {}

/** Where the samples of a grid lie. */
export interface Grid {
  shape: Triple;
  origin: Triple;
  /** Distance of samples along each axis, Angstrom. */
  voxelSize: Triple;
  /** Cell angles alpha, beta, gamma, degrees. */
  angles: Triple;
  /** Step from a sample to the next along x, y and z, as vectors (x, y, z), Angstrom. */
  axes: [Triple, Triple, Triple];
}

/** A part of a grid: so many samples (z, y, x), from this index on. */
export interface Region {
  start: Triple;
  shape: Triple;
}

export interface Density extends Grid {
  /** Samples (z, y, x) in C order. */
  values: Float32Array;
}

export interface Inspection {
  version: string;
  bytes: number;
  kind: string;
  /** Parameters of the network that are not zero. */
  parameters: number;
  shape: Triple;
  voxelSize: Triple;
  origin: Triple;
  angles: Triple;
  /** Finest resolution that a decode has, Angstrom; null for a bare network. */
  bandLimit: number | null;
  /** Counts (z, y, x) of the lattice on which the network lies; of a series with a motion it is finer than its band limit. */
  lattice: Triple | null;
  symmetry: string;
  alignment: "box" | "corners";
  /** Share of the box that the envelope marks as molecule, 0 to 1. */
  envelopeShare: number | null;
  hasHdf5: boolean;
}

/** An open file. */
export interface NmapFile {
  readonly metadata: object;
}

export interface Layer {
  /** (outputs, inputs) in C order. */
  weight: ArrayLike<number>;
  bias: ArrayLike<number>;
  activation: "sine" | "rectify" | "none";
  /** Factor of the sum, for "sine". */
  omega?: number;
}

/** What computes the layers of a network, for rows of 128 points. */
export interface LayersClass {
  new (layers: Layer[], inputs: number): {
    set(index: number, change: { weight?: ArrayLike<number>; bias: ArrayLike<number> }): void;
    run(inputs: Float64Array, points: number, out: Float64Array): void;
  };
}

/** Opens a file and makes all checks of the format. */
export function open(data: Uint8Array | ArrayBuffer, options?: { Layers?: LayersClass }): NmapFile;
/** The axis of a series: its name, the positions of the measured frames, and its period; null of one map. */
export function axisOf(map: NmapFile): { name: string; at: number[]; period: number | null } | null;
/** The map of a series at a position of its axis. Between measured frames it is interpolated. */
export function at(map: NmapFile, t: number): NmapFile;
/** The density on a grid over the box; without `shape` on the source's own grid. */
export function decode(
  map: NmapFile,
  shape?: Triple,
  options?: { region?: Region; maxSamples?: number; onProgress?: (share: number) => void },
): Density;
/** Where the samples of a grid of `shape`, or of a part of it, lie. */
export function gridOf(map: NmapFile, shape?: Triple, region?: Region): Grid;
/** The density at positions, Angstrom. */
export function sample(map: NmapFile, points: Triple[]): Float32Array;
/** An array of the record. */
export interface RecordArray {
  type: "F32" | "F16" | "U8";
  shape: number[];
  values: Float32Array | Uint8Array;
}

/**
 * What decoding does not need: which map it was, how it was fitted, how true it is; groups of items, as in the
 * specification's record.md. Texts are from the file: escape them where they are shown.
 */
export function record(map: NmapFile): Promise<{ record: Record<string, Record<string, unknown>>; dropped: string[] }>;
/** What a file says of itself. */
export function inspect(map: NmapFile): Inspection;
