// Floats of every stored type.

/** Numbers of stored floats, as Float32Array. */
export function floats({ dtype, bytes }) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const out = new Float32Array(bytes.length / (dtype === "F32" ? 4 : 2));
  if (dtype === "F32") for (let i = 0; i < out.length; i++) out[i] = view.getFloat32(4 * i, true);
  if (dtype === "F16") for (let i = 0; i < out.length; i++) out[i] = halfFloat(view.getUint16(2 * i, true));
  if (dtype === "BF16") {
    const words = new Uint32Array(out.buffer);
    for (let i = 0; i < out.length; i++) words[i] = view.getUint16(2 * i, true) << 16;
  }
  return out;
}

function halfFloat(word) {
  const sign = word & 0x8000 ? -1 : 1;
  const exponent = (word >> 10) & 31;
  const mantissa = word & 1023;
  if (exponent === 31) return mantissa ? NaN : sign * Infinity;
  return exponent ? sign * 2 ** (exponent - 15) * (1 + mantissa / 1024) : sign * 2 ** -24 * mantissa;
}
