// The page: a file from the command, or dropped on it, decoded in a worker, drawn by Mol*.

import { Decoder } from "./decoder.js";
import { factsLine, warningLine } from "./facts.js";
import { Levels } from "./levels.js";
import { loadMolstar, payload } from "./payload.js";
import { Scene, linkCameras } from "./scene.js";
import { Slices } from "./slices.js";

// More samples than this are shown for the middle of the box only: memory, and time to draw.
const MOST_SAMPLES = 2 ** 25;
const COLORS = { decode: 0x5b9bd5, source: 0xd9a441 };
// How solid a surface is with sticks in it, and the source over the decode.
const THROUGH = { model: 0.55, source: 0.45 };
const MARKED = "Change of Q by residue: red loses 0.15 or more, white keeps, blue gains.";
const GROUND = { light: 0xffffff, dark: 0x101318 };

const config = JSON.parse(document.getElementById("config").textContent);
const byId = (id) => document.getElementById(id);
const decoder = new Decoder(byId("reader").textContent);
const slices = new Slices(byId("slices"));
const levels = new Levels(changeLevel);
const scenes = {};
const state = { turn: 0, about: null, decode: null, source: null, sampling: 1, arrangement: "beside", alpha: 1, isReady: false };
// For tests, and for the curious.
window.nmapView = state;
state.camera = (name) => [...scenes[name].plugin.canvas3d.camera.getSnapshot().position];

function say(words) {
  byId("status").textContent = words;
}

/** One line on what went wrong; the page lives on. */
function complain(failure) {
  byId("errors").textContent = failure ? String(failure.message ?? failure).replace(/\s+/g, " ").slice(0, 300) : "";
}

function mark(name) {
  performance.mark(name);
  state[name] = performance.now();
}

async function guarded(work) {
  try {
    await work();
  } catch (failure) {
    complain(failure);
    say("");
  }
}

const molstarReady = loadMolstar(config).then(async (molstar) => {
  mark("molstar-loaded");
  scenes.decode = await Scene.create(molstar, byId("view-decode"));
  scenes.molstar = molstar;
  paintGround();
  await scenes.decode.warmUp();
  mark("molstar");
});

/** The slider of a series, at its first frame. */
function showAxis(axis) {
  byId("series-controls").hidden = !axis;
  if (!axis) return;
  const [first, last] = [axis.at[0], axis.period === null ? axis.at.at(-1) : axis.at[0] + axis.period];
  Object.assign(byId("position"), { min: first, max: last, value: first });
  notePosition(first);
}

/** Says where the slider is, and whether the file was measured there. */
function notePosition(t) {
  const { name, at } = state.about.axis;
  const near = (at.at(-1) - at[0]) * 1e-6;
  const measured = at.some((frame) => Math.abs(frame - t) <= near);
  byId("position-note").textContent = `${name} = ${Number(t.toPrecision(4))}, ${measured ? "measured" : "interpolated"}`;
}

/** Decodes a series at another position, at the sampling that is shown; of several asked for, the last. */
async function changePosition(t) {
  const turn = ++state.turn;
  state.isReady = false;
  notePosition(t);
  await decoder.ask("turn", { t });
  if (turn !== state.turn) return;
  const shape = state.about.shape.map((n) => (n === 1 ? 1 : Math.round(n * state.sampling)));
  await showDecode(turn, await decoded(shape, middle(shape)), "turned");
  if (turn === state.turn) finish();
}

/** Opens a file's bytes: a first surface on the band-limit lattice, then the whole grid. */
async function openFile(name, bytes, isStranger = false) {
  const turn = ++state.turn;
  state.isReady = false;
  complain("");
  say(`Opening ${name}`);
  const about = await decoder.ask("open", { bytes });
  if (turn !== state.turn) return;
  mark("opened");
  Object.assign(state, { about, sampling: 1 });
  byId("title").textContent = name;
  document.title = `${name} – nmap`;
  byId("facts").textContent = factsLine(about);
  const warning = warningLine(about, config.sideChains);
  byId("warning").textContent = warning;
  byId("warning").hidden = !warning;
  showAxis(about.axis);
  document.querySelector('input[name="sampling"][value="1"]').checked = true;
  byId("sampling-note").textContent = "";
  if (isStranger) await forgetCompany();
  if (scenes.decode) scenes.decode.hasCamera = false;
  levels.forget();
  // One after the other: where there are few processors, decoding the whole grid would hold up the first surface.
  if (about.first) await showDecode(turn, await decoded(about.first), "first-surface");
  if (turn === state.turn) await showDecode(turn, await decoded(about.shape), "full-grid");
  if (turn === state.turn) finish();
}

function finish() {
  state.isReady = true;
  const { shape } = state.decode;
  say(`${shape.join(" × ")} samples, ${state.decode.voxelSize[0].toPrecision(4)} Å apart`);
}

function decoded(shape, region) {
  say(`Decoding ${shape.join(" × ")} samples`);
  return decoder.ask("decode", { shape, region });
}

async function showDecode(turn, density, name) {
  if (turn !== state.turn) return;
  state.decode = density;
  levels.setDensity(density.statistics, state.about, config.level);
  slices.set("decode", density);
  mark(`${name}-decoded`);
  await molstarReady;
  say("Drawing");
  await scenes.decode.show("decode", density, levels.value, { color: COLORS.decode, alpha: state.alpha });
  mark(name);
}

/** The middle of a grid, where the whole would be too much; undefined if it is not. */
function middle(shape) {
  const total = shape[0] * shape[1] * shape[2];
  if (total <= MOST_SAMPLES) return undefined;
  const share = Math.cbrt(MOST_SAMPLES / total);
  const part = shape.map((n) => Math.max(1, Math.floor(n * share)));
  return { start: shape.map((n, i) => (n - part[i]) >> 1), shape: part };
}

async function changeSampling(factor) {
  const turn = ++state.turn;
  state.isReady = false;
  state.sampling = factor;
  const shape = state.about.shape.map((n) => (n === 1 ? 1 : Math.round(n * factor)));
  const region = middle(shape);
  byId("sampling-note").textContent = region ? "Shown: the middle of the box." : "";
  await showDecode(turn, await decoded(shape, region), "sampled");
  if (turn === state.turn) finish();
}

/** Of a file from elsewhere, the source, the model and the level that came with the command are not its own. */
async function forgetCompany() {
  state.source = null;
  config.level = null;
  for (const id of ["source-controls", "model-controls"]) byId(id).hidden = true;
  await arrange();
  await scenes.decode?.hideModel();
  state.alpha = 1;
}

let drawing = Promise.resolve();

/** Draws a new level; of several asked for while drawing, the last. */
function changeLevel(level) {
  state.isReady = false;
  drawing = drawing.then(async () => {
    if (level !== levels.value || !scenes.decode?.hasSurface) return;
    await guarded(async () => {
      for (const name of ["decode", "source"]) await scenes[name]?.setLevel(level);
      mark("level");
    });
    state.isReady = true;
  });
}

async function openSource() {
  if (!config.source) return;
  byId("source-controls").hidden = false;
  const values = new Float32Array(await payload(config.source.data));
  state.source = { ...config.source.grid, ...(await decoder.ask("measure", { values }, [values.buffer])) };
  await molstarReady;
  await arrange();
}

async function arrange() {
  const { arrangement, source } = state;
  const wasReady = state.isReady;
  state.isReady = false;
  byId("view-source").hidden = arrangement !== "beside" || !source;
  slices.set("source", arrangement === "decode" ? null : source);
  if (source && state.decode) await drawSource(arrangement, source);
  else await scenes.decode?.hide("source");
  scenes.decode?.plugin.handleResize();
  state.isReady = wasReady;
  mark("source");
}

async function drawSource(arrangement, source) {
  await (arrangement === "over" ? scenes.decode.show("source", source, levels.value, { color: COLORS.source, alpha: THROUGH.source }) : scenes.decode.hide("source"));
  if (arrangement === "beside") {
    if (!scenes.source) {
      scenes.source = await Scene.create(scenes.molstar, byId("view-source"));
      paintGround();
      linkCameras(scenes.decode, scenes.source);
    }
    await scenes.source.show("source", source, levels.value, { color: COLORS.source });
  }
}

/** Colours the model by what a file, by its number, loses of it; set once there is a model. */
let colourModel = async () => {};

async function openModel() {
  if (!config.model) return;
  byId("model-controls").hidden = false;
  const { name, format, marks } = config.model;
  const asText = async (from) => new TextDecoder().decode(await payload(from));
  let shown = [await asText(config.model.data), format, name];
  const show = async () => {
    state.isReady = false;
    await molstarReady;
    const isShown = byId("model-shown").checked;
    if (isShown) await scenes.decode.showModel(...shown);
    else await scenes.decode.hideModel();
    await makeSolid(isShown ? THROUGH.model : 1);
    state.isReady = true;
    mark("model");
  };
  byId("model-shown").addEventListener("change", () => guarded(show));
  await show();
  colourModel = async (index) => {
    if (!marks[index]) return;
    byId("model-note").textContent = "Measuring what each residue loses.";
    try {
      shown = [await asText(marks[index]), "mmcif", name, true];
      byId("model-note").textContent = MARKED;
    } catch (failure) {
      byId("model-note").textContent = "";
      throw failure;
    }
    await show();
    mark("marked");
  };
  await colourModel(Math.max(byId("files").selectedIndex, 0));
}

/** Draws the decode's surface solid (1), or so that one sees through it. */
async function makeSolid(alpha) {
  state.alpha = alpha;
  if (state.decode) await scenes.decode.show("decode", state.decode, levels.value, { color: COLORS.decode, alpha });
}

function paintGround() {
  const theme = document.documentElement.dataset.theme;
  for (const scene of [scenes.decode, scenes.source]) scene?.setGround(GROUND[theme]);
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  paintGround();
}

function listenForDrops() {
  const veil = byId("drop");
  addEventListener("dragover", (event) => {
    event.preventDefault();
    veil.hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) veil.hidden = true;
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    veil.hidden = true;
    const [file] = event.dataTransfer.files;
    if (file) guarded(async () => openFile(file.name, new Uint8Array(await file.arrayBuffer()), true));
  });
}

function listen() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  setTheme(dark.matches ? "dark" : "light");
  dark.addEventListener("change", ({ matches }) => setTheme(matches ? "dark" : "light"));
  byId("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  byId("sampling").addEventListener("change", ({ target }) => guarded(() => changeSampling(Number(target.value))));
  byId("position").addEventListener("change", ({ target }) => guarded(() => changePosition(Number(target.value))));
  byId("arrangement").addEventListener("change", ({ target }) => {
    state.arrangement = target.value;
    guarded(arrange);
  });
  listenForDrops();
}

async function start() {
  mark("start");
  listen();
  const list = byId("files");
  config.files.forEach(({ name }) => list.append(new Option(name, name)));
  list.hidden = config.files.length < 2;
  const openNumber = async (index) => {
    const { name, data } = config.files[index];
    await openFile(name, new Uint8Array(await payload(data)));
  };
  const change = async () => {
    await openNumber(list.selectedIndex);
    await colourModel(list.selectedIndex);
  };
  list.addEventListener("change", () => guarded(change));
  // The command ends when no page holds this open.
  if (config.alive) new EventSource(config.alive);
  molstarReady.catch(complain);
  if (config.files.length) await guarded(() => openNumber(0));
  else say("Drop a .nmap file on the page.");
  await guarded(openSource);
  await guarded(openModel);
  mark("complete");
}

start();
