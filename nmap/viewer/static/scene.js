// One Mol* view: surfaces of densities, a model, a camera.

import { boxAbove, volumeOf } from "./volume.js";

const SURFACE_REF = (name) => `surface-${name}`;
const VOLUME_REF = (name) => `volume-${name}`;
const MODEL_REF = "model";
// How much of its half diagonal a molecule fills in the picture: corners of its box are empty.
const ROOM = 0.75;
// Loss of Q, in hundredths, that is drawn in full red; as much gained in full blue. It can be seen from 5 on.
const MOST_LOST = 15;
// How long to wait for a drawing, milliseconds.
const UNSEEN = 3000;
const PAUSE = 15;

let transform = null;

/** The state transform that gives Mol* a volume made here; made once, for its name is registered. */
function volumeTransform(molstar) {
  const { PluginStateObject, PluginStateTransform } = molstar.lib.plugin;
  const fromRoot = PluginStateTransform.BuiltIn({
    name: "nmap-volume",
    display: { name: "nmap density" },
    from: PluginStateObject.Root,
    to: PluginStateObject.Volume.Data,
    params: () => ({ volume: { type: "value", defaultValue: null }, label: { type: "text", defaultValue: "" } }),
  });
  return (transform ??= fromRoot({
    apply: ({ params }) => new PluginStateObject.Volume.Data(params.volume, { label: params.label }),
  }));
}

export class Scene {
  /**
   * @param molstar the library
   * @param element that holds the picture
   */
  static async create(molstar, element) {
    const { PluginContext, DefaultPluginSpec } = molstar.lib.plugin;
    const plugin = new PluginContext(DefaultPluginSpec());
    await plugin.init();
    const isMounted = await plugin.mountAsync(element);
    if (!isMounted) throw new Error("this browser has no WebGL, which the surface needs; the slices work without");
    return new Scene(molstar, plugin);
  }

  constructor(molstar, plugin) {
    this.molstar = molstar;
    this.plugin = plugin;
    this.shown = new Map();
    this.hasCamera = false;
    plugin.canvas3d.setProps({
      // The camera is set here, when a file is opened: a new level must not move it.
      camera: { manualReset: true, helper: { axes: { name: "off", params: {} } } },
      multiSample: { mode: "off" },
      postprocessing: {
        // Fewer programs to make ready than for Mol*'s default, which counts where there is no graphics processor.
        antialiasing: { name: "fxaa", params: { edgeThresholdMin: 0.0312, edgeThresholdMax: 0.063, iterations: 12, subpixelQuality: 0.3 } },
        occlusion: { name: "off", params: {} },
        shadow: { name: "off", params: {} },
      },
      cameraFog: { name: "on", params: { intensity: 30 } },
    });
  }

  /** Draws a dot once, so that the drawing programs are ready before the first surface is. */
  async warmUp() {
    const values = Float32Array.from({ length: 64 }, (_, i) => (i === 21 ? 1 : 0));
    const axes = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
    const dot = { values, shape: [4, 4, 4], origin: [0, 0, 0], axes, statistics: { min: 0, max: 1, mean: 0, sigma: 0.1 } };
    await this.show("dot", dot, 0.5, { color: 0 });
    await this.hide("dot");
    this.hasCamera = false;
  }

  setGround(color) {
    this.plugin.canvas3d?.setProps({ renderer: { backgroundColor: color } });
  }

  /** Shows the surface of a density at a level, in place of the one of that name. */
  async show(name, density, level, { color, alpha = 1 }) {
    this.shown.set(name, { density, color, alpha });
    await this.draw(name, level);
  }

  /** Looks at a part of a density from outside; nothing of the whole is cut away, whatever the level. */
  focus({ shape, origin, axes }, { from, to }) {
    const place = (index) => origin.map((o, i) => o + index.reduce((sum, n, axis) => sum + n * axes[axis][i], 0));
    const distance = (a, b) => Math.hypot(...a.map((v, i) => v - b[i]));
    const center = place(from.map((n, i) => (n + to[i]) / 2));
    const all = [...shape].reverse();
    const radiusMax = Math.max(distance(center, place([0, 0, 0])), distance(center, place(all)), distance(place([0, 0, 0]), place(all)) / 2);
    const { camera } = this.plugin.canvas3d;
    camera.setState({ ...camera.getFocus(center, (distance(place(from), place(to)) / 2) * ROOM), radiusMax }, 0);
    this.hasCamera = true;
  }

  /** Draws every surface at a level. */
  async setLevel(level) {
    for (const name of this.shown.keys()) await this.draw(name, level);
  }

  async draw(name, level) {
    const { density, color, alpha } = this.shown.get(name);
    const { molstar, plugin } = this;
    const seen = boxAbove(density, level);
    const box = seen ?? { from: [0, 0, 0], to: [2, 2, 2].map((n, i) => Math.min(n, density.shape[2 - i])) };
    const volume = volumeOf(molstar, density, box, name);
    const look = {
      type: {
        name: "isosurface",
        params: { isoValue: { kind: "absolute", absoluteValue: level }, tryUseGpu: false, wrap: "off", visuals: ["solid"], alpha, quality: "custom", doubleSided: false },
      },
      colorTheme: { name: "uniform", params: { value: color } },
      sizeTheme: { name: "uniform", params: { value: 1 } },
    };
    const build = plugin.state.data.build();
    const isNew = !plugin.state.data.cells.has(VOLUME_REF(name));
    if (isNew) {
      build
        .toRoot()
        .apply(volumeTransform(molstar), { volume, label: name }, { ref: VOLUME_REF(name) })
        .apply(molstar.lib.plugin.StateTransforms.Representation.VolumeRepresentation3D, look, { ref: SURFACE_REF(name) });
    } else {
      build.to(VOLUME_REF(name)).update({ volume, label: name });
      build.to(SURFACE_REF(name)).update(look);
    }
    await this.drawnOnce(async () => {
      await build.commit({ doNotLogTiming: true });
      if (this.hasCamera) return;
      this.focus(density, seen ?? { from: [0, 0, 0], to: [...density.shape].reverse() });
      // Where there is nothing to see yet, the camera is set again when there is.
      this.hasCamera = seen !== null;
    });
  }

  /** Does work on the scene, and draws it once at the end: without a graphics processor a drawing takes long. */
  async drawnOnce(work) {
    this.plugin.animationLoop.stop({ noDraw: true });
    try {
      await work();
    } finally {
      const drawn = this.drawn();
      this.plugin.animationLoop.start();
      await drawn;
    }
  }

  /** When the next drawing is on the screen; not at all if nothing comes, as in a tab that is not looked at. */
  async drawn() {
    const { canvas3d } = this.plugin;
    const after = canvas3d.didDraw.value;
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, UNSEEN);
      const subscription = canvas3d.didDraw.subscribe((time) => {
        if (time === after) return;
        clearTimeout(timer);
        setTimeout(() => subscription.unsubscribe());
        resolve();
      });
    });
    const { webgl } = canvas3d;
    const sync = webgl.getFenceSync();
    // Mol*'s own waiting keeps a processor busy, which may be the one that draws.
    while (sync && !webgl.checkSyncStatus(sync)) await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }

  /** Takes a density away. */
  async hide(name) {
    if (!this.shown.delete(name)) return;
    await this.plugin.state.data.build().delete(VOLUME_REF(name)).commit();
  }

  /** Shows an atomic model as sticks; `format` is "mmcif" or "pdb". Marked, its B-factors are the loss of Q in hundredths. */
  async showModel(text, format, label, isMarked = false) {
    await this.hideModel();
    const { builders } = this.plugin;
    const data = await builders.data.rawData({ data: text, label }, { ref: MODEL_REF });
    const trajectory = await builders.structure.parseTrajectory(data, format);
    const structure = await builders.structure.createStructure(await builders.structure.createModel(trajectory));
    const all = await builders.structure.tryCreateComponentStatic(structure, "all");
    await builders.structure.representation.addRepresentation(all, {
      type: "ball-and-stick",
      ...(isMarked ? { color: "uncertainty", colorParams: { domain: [-MOST_LOST, MOST_LOST] } } : { color: "element-symbol" }),
      typeParams: { sizeFactor: 0.18, ignoreHydrogens: true },
    });
  }

  async hideModel() {
    if (this.plugin.state.data.cells.has(MODEL_REF)) await this.plugin.state.data.build().delete(MODEL_REF).commit();
  }

  get hasSurface() {
    return this.shown.size > 0;
  }
}

/** Keeps the cameras of two scenes equal, whichever is turned. */
export function linkCameras(first, second) {
  const last = { text: "" };
  const follow = (from, to) => () => {
    const snapshot = from.plugin.canvas3d.camera.getSnapshot();
    const text = JSON.stringify([snapshot.position, snapshot.target, snapshot.up, snapshot.radius]);
    if (text === last.text || !from.hasSurface || !to.hasSurface) return;
    last.text = text;
    to.plugin.canvas3d.camera.setState(snapshot, 0);
    to.plugin.canvas3d.requestDraw();
  };
  first.plugin.canvas3d.didDraw.subscribe(follow(first, second));
  second.plugin.canvas3d.didDraw.subscribe(follow(second, first));
}
