// `nmap view` in a real browser. Where NMAP_SCREENSHOTS names a folder, the pictures of the docs are made there.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { drop, inkOf, launch, numpyDecode, openPage, pageValues, ready, root, runPython, serve, worst } from "./browser.mjs";

const folder = mkdtempSync(join(tmpdir(), "nmap-view-"));
const source = `${root}examples/emd_3488.map.gz`;
const file = join(folder, "emd_3488.nmap");
const valid = `${root}spec/conformance/valid/`;
const CANVAS = "#view-decode canvas";
let browser;

before(async () => {
  runPython("-m", "nmap", "encode", source, file, "--resolution", "3.2", "--quiet");
  browser = await launch();
});

after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true });
});

async function shoot(page, name) {
  if (process.env.NMAP_SCREENSHOTS) await page.screenshot({ path: join(process.env.NMAP_SCREENSHOTS, `${name}.png`) });
}

/** Opens the served page of a command, and closes both at the end of the test. */
async function view(t, words, options) {
  const command = await serve(...words);
  const { page, said } = await openPage(browser, command.address, options);
  t.after(async () => {
    await page.close();
    command.stop();
    assert.equal(await command.ended, 0);
  });
  return { page, said, command };
}

const complaint = (page) => page.textContent("#errors");

test("a file is drawn, its values are numpy's, and the console is clean", async (t) => {
  const { page, said } = await view(t, [file]);
  assert.deepEqual(said, []);
  assert.equal(await complaint(page), "");
  assert.ok((await inkOf(page, CANVAS)) > 10000);
  for (const slice of [1, 2, 3]) assert.ok((await inkOf(page, `.slice:nth-child(${slice}) canvas`)) > 1000);
  assert.ok(worst(await pageValues(page), numpyDecode(file, [100, 100, 100])) < 1e-4);
  assert.match(await page.textContent("#facts"), /100 × 100 × 100 voxels of 1.05 Å/);
  assert.match(await page.textContent("#facts"), /nothing finer than 3.2 Å .* FSC 0\.9\d* in the worst shell to 3.2 Å/);
});

test("another sampling has the values that numpy has there", async (t) => {
  const { page } = await view(t, [file]);
  await page.check('input[name="sampling"][value="1.5"]');
  await page.waitForFunction(() => window.nmapView.isReady && window.nmapView.decode.shape[0] === 150);
  assert.ok(worst(await pageValues(page), numpyDecode(file, [150, 150, 150])) < 1e-4);
  assert.match(await page.textContent("#status"), /150 × 150 × 150 samples, 0.7000 Å apart/);
});

test("a higher level leaves less to see, in sigma and in density alike", async (t) => {
  const { page } = await view(t, [file]);
  const before = await inkOf(page, CANVAS);
  const { mean, sigma } = await page.evaluate(() => window.nmapView.decode.statistics);
  await page.fill("#sigma", "6");
  await page.dispatchEvent("#sigma", "change");
  await ready(page);
  assert.ok(Math.abs(Number(await page.inputValue("#density")) - (mean + 6 * sigma)) < 1e-3);
  const after = await inkOf(page, CANVAS);
  assert.ok(after < 0.8 * before, `${after} of ${before} pixels`);
  await page.fill("#density", String(mean + 3 * sigma));
  await page.dispatchEvent("#density", "change");
  await ready(page);
  assert.equal(await page.inputValue("#sigma"), "3.00");
  assert.ok(Math.abs((await inkOf(page, CANVAS)) - before) < 0.05 * before);
});

test("a level that was asked for is the one that is shown", async (t) => {
  const { page } = await view(t, [file, "--level", "0.25"]);
  assert.equal(await page.inputValue("#density"), "0.25");
});

test("a file dropped on the page is opened, whatever its kind", async (t) => {
  const { page, said } = await view(t, [file]);
  for (const [name, shape] of [["everything", [8, 9, 10]], ["fourier-features", [10, 10, 10]], ["radial-basis-d7", [8, 14, 10]], ["block-siren-d7", [8, 14, 10]]]) {
    await drop(page, `${name}.nmap`, readFileSync(`${valid}${name}.nmap`));
    assert.equal(await complaint(page), "");
    assert.ok(worst(await pageValues(page), numpyDecode(`${valid}${name}.nmap`, shape)) < 1e-4, name);
    assert.equal(await page.textContent("#title"), `${name}.nmap`);
  }
  assert.deepEqual(said, []);
});

test("the slider of a series moves the surface along its axis, and says what was measured", async (t) => {
  const { page, said } = await view(t, [file]);
  const moving = `${valid}series-siren-moving.nmap`;
  await drop(page, "moving.nmap", readFileSync(moving));
  assert.equal(await complaint(page), "");
  assert.ok(await page.isVisible("#series-controls"));
  assert.match(await page.textContent("#position-note"), /t = -1, measured/);
  const picture = () => page.evaluate((canvas) => document.querySelector(canvas).toDataURL(), CANVAS);
  const first = await picture();
  assert.ok((await inkOf(page, CANVAS)) > 1000);
  await page.fill("#position", "0.6");
  await ready(page);
  await page.waitForTimeout(1500);
  const t06 = Number(await page.inputValue("#position"));
  assert.ok(Math.abs(t06 - 0.6) < 0.02);
  assert.match(await page.textContent("#position-note"), /interpolated/);
  assert.ok(worst(await pageValues(page), numpyDecode(moving, [10, 10, 10], t06)) < 1e-4);
  assert.ok((await picture()) !== first, "the picture has not changed");
  assert.match(await page.textContent("#facts"), /4 frames of 10 × 10 × 10 .* of the 4 maps' 20.1 kB .* nothing finer than 6 Å/);
  await drop(page, "everything.nmap", readFileSync(`${valid}everything.nmap`));
  assert.ok(await page.isHidden("#series-controls"));
  assert.deepEqual(said, []);
});

test("a hostile file shows one line, and the page lives on", async (t) => {
  const { page, said } = await view(t, [file]);
  const invalid = `${root}spec/conformance/invalid/`;
  for (const [name, words] of [["flipped", /sha256/], ["nested", /JSON/], ["lattice-huge", /at most/], ["radial-sum", /absolute values/]]) {
    await drop(page, `${name}.nmap`, readFileSync(`${invalid}${name}.nmap`));
    assert.match(await complaint(page), words);
    assert.ok(!(await complaint(page)).includes("\n"));
    assert.equal(await page.textContent("#title"), "emd_3488.nmap");
  }
  await drop(page, "everything.nmap", readFileSync(`${valid}everything.nmap`));
  assert.equal(await complaint(page), "");
  assert.equal(await page.textContent("#title"), "everything.nmap");
  assert.deepEqual(said, []);
});

test("a name that is markup is shown as text, served and exported", async (t) => {
  const name = "<img src=x onerror=window.wrong=1>.nmap";
  const { page } = await view(t, [file]);
  await drop(page, name, readFileSync(`${valid}no-hdf5.nmap`));
  assert.equal(await page.textContent("#title"), name);
  assert.equal(await page.evaluate(() => window.wrong), undefined);
});

test("source and decode stand side by side with one camera, or one over the other", async (t) => {
  // A preview, which has lost what the source shows: of a true file the two surfaces would be one.
  const look = join(folder, "look.nmap");
  runPython("-m", "nmap", "encode", source, look, "--resolution", "6", "--preset", "preview", "--arch", "radial-basis", "--quiet");
  const { page, said } = await view(t, [look, "--source", source]);
  assert.ok((await inkOf(page, CANVAS)) > 5000);
  const before = await inkOf(page, "#view-source canvas");
  assert.ok(before > 5000);
  assert.ok((await inkOf(page, ".slice canvas:nth-child(2)")) > 1000);
  await shoot(page, "view-beside");
  const cameras = () => page.evaluate(() => ["decode", "source"].map((name) => window.nmapView.camera(name)));
  const [first] = await cameras();
  await page.mouse.move(500, 300);
  await page.mouse.down();
  await page.mouse.move(620, 340, { steps: 4 });
  await page.mouse.up();
  await page.waitForTimeout(1500);
  const [left, right] = await cameras();
  assert.ok(Math.hypot(...left.map((v, i) => v - first[i])) > 5, "the camera was turned");
  assert.ok(Math.hypot(...left.map((v, i) => v - right[i])) < 0.01, "the other one followed");
  const alone = await inkOf(page, CANVAS);
  await page.check('input[name="arrangement"][value="over"]');
  await ready(page);
  await page.waitForTimeout(1500);
  assert.ok(await page.isHidden("#view-source"));
  const both = await inkOf(page, CANVAS);
  assert.ok(both > alone, `${both} pixels, ${alone} without the source`);
  assert.deepEqual(said, []);
});

test("a model is drawn as sticks, and can be taken away", async (t) => {
  const model = join(folder, "model.pdb");
  // A zigzag of carbons in the solvent, where there is no density.
  const atom = (i) => `ATOM  ${String(i).padStart(5)}  CA  ALA A${String(i).padStart(4)}    ${[8 + 3 * (i % 2), 8 + 3 * i, 12].map((v) => v.toFixed(3).padStart(8)).join("")}  1.00 10.00           C`;
  writeFileSync(model, [...Array.from({ length: 12 }, (_, i) => atom(i + 1)), "END", ""].join("\n"));
  const { page, said } = await view(t, [file, "--model", model]);
  const shown = await inkOf(page, CANVAS);
  await shoot(page, "view-model");
  await page.uncheck("#model-shown");
  await ready(page);
  await page.waitForTimeout(1500);
  const without = await inkOf(page, CANVAS);
  assert.ok(without < shown, `${shown} pixels, ${without} without the model`);
  assert.deepEqual(said, []);
});

test("the page is dark where the user's programs are, and the picture with it", async (t) => {
  const { page } = await view(t, [file], { colorScheme: "dark" });
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(20, 23, 28)");
  const corner = await page.evaluate(() => {
    const canvas = document.querySelector("#view-decode canvas");
    const copy = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
    copy.getContext("2d").drawImage(canvas, 0, 0);
    return copy.getContext("2d").getImageData(0, 0, 1, 1).data[0];
  });
  assert.ok(corner < 40);
  await shoot(page, "view-dark");
});

test("an exported page opens from disk, with nothing from elsewhere", async () => {
  const exported = join(folder, "page.html");
  runPython("-m", "nmap", "view", file, "--export", exported, "--quiet");
  const bytes = readFileSync(exported).length;
  assert.ok(bytes < 2.5e6 + readFileSync(file).length, `${bytes} bytes`);
  const context = await browser.newContext({ offline: true, viewport: { width: 1366, height: 768 } });
  const asked = [];
  context.on("request", (request) => asked.push(request.url()));
  const page = await context.newPage();
  const said = [];
  page.on("console", (message) => said.push(message.text()));
  page.on("pageerror", (error) => said.push(error.message));
  await page.goto(`file://${exported}`);
  await ready(page);
  assert.deepEqual(said, []);
  assert.deepEqual(asked.filter((url) => /^https?:/.test(url)), []);
  assert.ok((await inkOf(page, CANVAS)) > 10000);
  assert.ok(worst(await pageValues(page), numpyDecode(file, [100, 100, 100])) < 1e-4);
  await context.close();
});

test("the command ends when the page is closed", async () => {
  const command = await serve(file);
  const { page } = await openPage(browser, command.address);
  await page.reload();
  await ready(page);
  await page.close();
  assert.equal(await command.ended, 0);
});

test("the widget of a notebook draws and decodes in a frame that reaches neither notebook nor network", async (t) => {
  const widget = join(folder, "widget.json");
  const program = "import json, sys, nmap; w = nmap.open(sys.argv[1]).view(); " +
    "json.dump({'esm': str(w._esm), 'page': w.page, 'height': w.height}, open(sys.argv[2], 'w'))";
  runPython("-c", program, file, widget);
  const { esm, ...traits } = JSON.parse(readFileSync(widget, "utf8"));
  const page = await browser.newPage({ viewport: { width: 1200, height: 700 } });
  t.after(() => page.close());
  const said = [];
  page.on("console", (message) => said.push(`${message.type()}: ${message.text()}`));
  await page.evaluate(async ({ code, values }) => {
    const { default: made } = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
    made.render({ model: { get: (name) => values[name] }, el: document.body });
  }, { code: esm, values: traits });
  const frame = await (await page.waitForSelector("iframe")).contentFrame();
  await ready({ waitForFunction: (...words) => frame.waitForFunction(...words), evaluate: (...words) => frame.evaluate(...words) });
  assert.equal(await complaint(frame), "");
  assert.ok((await inkOf(frame, CANVAS)) > 10000);
  assert.ok(worst(await pageValues(frame), numpyDecode(file, [100, 100, 100])) < 1e-4);
  assert.equal(await frame.evaluate(() => { try { return String(parent.document); } catch { return "closed"; } }), "closed");
  assert.deepEqual(said.filter((line) => line.startsWith("error")), []);
});

test("with its source beside it a model is coloured by what each residue loses", async (t) => {
  const model = `${root}tests/data/5me2_A1-30.pdb.gz`;
  const { page, said } = await view(t, [file, "--source", source, "--model", model, "--level", "0.22"]);
  assert.equal(await complaint(page), "");
  assert.match(await page.textContent("#model-note"), /red loses/);
  await shoot(page, "view-marked");
  assert.ok(await page.evaluate(() => window.nmapView.marked > window.nmapView.model - 1));
  assert.deepEqual(said, []);
});
