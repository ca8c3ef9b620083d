import type { LayersClass } from "./index.js";

/** Layers computed with WebAssembly's SIMD, in float32; where `isSupported()`, pass it to `open`. */
export const SimdLayers: LayersClass & { isSupported(): boolean };
