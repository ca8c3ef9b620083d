// Three orthogonal slices on plain canvases: of the decode, and of the source beside it, in the same greys.

const AXES = ["z", "y", "x"];

/** Samples of a slice across an axis (0 is z), row by row, and its counts. */
export function sliceOf({ values, shape }, axis, index) {
  const [nz, ny, nx] = shape;
  if (axis === 0) return { width: nx, height: ny, samples: values.subarray(index * ny * nx, (index + 1) * ny * nx) };
  const width = nx;
  const height = nz;
  if (axis === 1) {
    const samples = new Float32Array(width * height);
    for (let z = 0; z < nz; z++) samples.set(values.subarray((z * ny + index) * nx, (z * ny + index + 1) * nx), z * nx);
    return { width, height, samples };
  }
  const samples = new Float32Array(ny * nz);
  for (let z = 0; z < nz; z++) for (let y = 0; y < ny; y++) samples[z * ny + y] = values[(z * ny + y) * nx + index];
  return { width: ny, height: nz, samples };
}

function paint(canvas, density, axis, share, [black, white]) {
  const index = Math.min(density.shape[axis] - 1, Math.floor(share * density.shape[axis]));
  const { width, height, samples } = sliceOf(density, axis, index);
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const perGrey = 255 / (white - black || 1);
  for (let i = 0; i < samples.length; i++) {
    const grey = Math.max(0, Math.min(255, Math.round((samples[i] - black) * perGrey)));
    pixels[i] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
  }
  context.putImageData(image, 0, 0);
}

/** The row of slices under the picture. */
export class Slices {
  constructor(element) {
    this.densities = {};
    this.places = AXES.map((name, axis) => {
      const figure = element.appendChild(document.createElement("figure"));
      figure.className = "slice";
      const pair = figure.appendChild(document.createElement("div"));
      pair.className = "pair";
      const canvases = {};
      for (const which of ["decode", "source"]) {
        canvases[which] = pair.appendChild(document.createElement("canvas"));
        canvases[which].title = which === "decode" ? "decoded" : "source";
        canvases[which].hidden = which === "source";
      }
      const label = figure.appendChild(document.createElement("label"));
      const words = label.appendChild(document.createElement("span"));
      const slider = label.appendChild(document.createElement("input"));
      Object.assign(slider, { type: "range", min: 0, max: 1, step: 0.002, value: 0.5 });
      slider.setAttribute("aria-label", `Slice along ${name}`);
      slider.addEventListener("input", () => this.paint(axis));
      return { canvases, slider, words };
    });
  }

  /** Sets a density ("decode" or "source"), null for none. */
  set(which, density) {
    this.densities[which] = density;
    AXES.forEach((_, axis) => this.paint(axis));
  }

  paint(axis) {
    const { canvases, slider, words } = this.places[axis];
    const { decode, source } = this.densities;
    canvases.source.hidden = !source;
    if (!decode) return;
    const { mean, sigma, min, max } = decode.statistics;
    const greys = [Math.max(min, mean - 2 * sigma), Math.min(max, mean + 8 * sigma)];
    for (const [which, density] of Object.entries(this.densities)) {
      if (density) paint(canvases[which], density, axis, Number(slider.value), greys);
    }
    words.textContent = `${AXES[axis]} = ${Math.min(decode.shape[axis] - 1, Math.floor(slider.value * decode.shape[axis]))}`;
  }
}
