// The level of the surface: one value in density, shown in sigma too.

import { levelAbove } from "./statistics.js";

// Where nothing better is known.
const PLAIN_SIGMAS = 3;
// A level below this would show solvent: the envelope is wider than the molecule then, and says nothing of it.
const LEAST_SIGMAS = 2;
// Share of the samples to enclose where nothing is as high as the plain level: something to look at, and no more.
const SMALL_SHARE = 0.01;
// While the slider moves, one drawing in this time, milliseconds.
const PAUSE = 120;

/** The level to begin with, and why: what was asked for, the stored contour, the envelope's volume, or sigmas. */
function firstLevel(statistics, about, asked) {
  if (asked !== undefined && asked !== null) return { value: asked, origin: "as asked for" };
  if (Number.isFinite(about.contourLevel)) return { value: about.contourLevel, origin: "the source's contour level" };
  const enclosing = about.envelopeShare ? levelAbove(statistics, about.envelopeShare) : -Infinity;
  if (enclosing >= statistics.mean + LEAST_SIGMAS * statistics.sigma) {
    return { value: enclosing, origin: "encloses the envelope's volume" };
  }
  const plain = statistics.mean + PLAIN_SIGMAS * statistics.sigma;
  if (plain < statistics.max) return { value: plain, origin: `${PLAIN_SIGMAS} sigma` };
  return { value: levelAbove(statistics, SMALL_SHARE), origin: `encloses ${100 * SMALL_SHARE} % of the box` };
}

export class Levels {
  /** @param changed called with a new level, in density */
  constructor(changed) {
    this.changed = changed;
    this.value = null;
    this.slider = document.getElementById("level");
    this.sigma = document.getElementById("sigma");
    this.density = document.getElementById("density");
    this.slider.addEventListener("input", () => this.later(this.inDensity(Number(this.slider.value))));
    this.sigma.addEventListener("change", () => this.set(this.inDensity(Number(this.sigma.value))));
    this.density.addEventListener("change", () => this.set(Number(this.density.value)));
  }

  /** A new file is coming: its level is its own. */
  forget() {
    this.value = null;
  }

  /** The density that the level is a level of; a level that was chosen stays. */
  setDensity(statistics, about, asked) {
    this.statistics = statistics;
    if (this.value === null || this.isAutomatic) {
      const { value, origin } = firstLevel(statistics, about, asked);
      this.value = value;
      this.isAutomatic = true;
      document.getElementById("level-origin").textContent = origin;
    }
    this.show();
  }

  inDensity(sigmas) {
    return this.statistics.mean + sigmas * this.statistics.sigma;
  }

  show() {
    const { mean, sigma, max } = this.statistics;
    const sigmas = sigma ? (this.value - mean) / sigma : 0;
    Object.assign(this.slider, { min: 0, max: sigma ? (max - mean) / sigma : 1, step: 0.01 });
    this.slider.value = sigmas;
    this.sigma.value = sigmas.toFixed(2);
    this.density.value = Number(this.value.toPrecision(4));
  }

  later(value) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.set(value), PAUSE);
  }

  set(value) {
    if (!Number.isFinite(value) || !this.statistics) return;
    this.value = value;
    this.isAutomatic = false;
    document.getElementById("level-origin").textContent = "";
    this.show();
    this.changed(value);
  }
}
