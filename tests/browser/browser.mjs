// A real browser without a window, and the commands of nmap, for the tests beside this file.

import { spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

export const root = fileURLToPath(new URL("../../", import.meta.url));
const python = process.env.NMAP_PYTHON ?? `${root}.venv/bin/python`;
const environment = { ...process.env, PYTHONPATH: `${root}:${root}cli` };
const SWITCHES = [
  "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
  "--disable-sync", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
];

/** Runs Python; what it prints. */
export function runPython(...words) {
  const { status, stdout, stderr } = spawnSync(python, words, { env: environment, maxBuffer: 2 ** 30 });
  if (status !== 0) throw new Error(String(stderr));
  return stdout;
}

/** Float32 values of a file as numpy decodes them, at `shape` samples (z, y, x); of a series at a position. */
export function numpyDecode(file, shape, position = null) {
  const program = "import sys, nmap; m = nmap.open(sys.argv[1]); t = sys.argv[2]; m = m.at(float(t)) if t else m; " +
    "sys.stdout.buffer.write(m.as_array(tuple(map(int, sys.argv[3:]))).tobytes())";
  const bytes = runPython("-c", program, file, position === null ? "" : String(position), ...shape.map(String));
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

/** `nmap view --no-browser`: its address, and a promise of its exit code. */
export async function serve(...words) {
  const command = spawn(python, ["-m", "nmap", "view", "--no-browser", ...words], { env: environment });
  const ended = new Promise((resolve) => command.on("close", resolve));
  const address = await new Promise((resolve, reject) => {
    let said = "";
    command.stdout.on("data", (part) => {
      said += part;
      const found = /http:\S+/.exec(said);
      if (found) resolve(found[0]);
    });
    command.stderr.on("data", (part) => (said += part));
    command.on("close", () => reject(new Error(said)));
  });
  return { address, ended, stop: () => command.kill("SIGINT") };
}

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: SWITCHES });
}

/** A page at an address, with everything that its console said. */
export async function openPage(browser, address, options = {}) {
  const page = await browser.newPage({ viewport: { width: 1366, height: 768 }, ...options });
  const said = [];
  page.on("console", (message) => said.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => said.push(`error: ${error.message}`));
  await page.goto(address);
  await ready(page);
  return { page, said };
}

/** Waits until everything that was asked for is drawn, or a complaint is shown. */
export async function ready(page) {
  const isDone = () => window.nmapView?.complete && (window.nmapView.isReady || document.getElementById("errors").textContent);
  await page.waitForFunction(isDone, null, { timeout: 120000 });
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
}

/** The values that the page decoded, as the page has them. */
export async function pageValues(page) {
  const text = await page.evaluate(async () => {
    const reader = new FileReader();
    const read = new Promise((resolve) => (reader.onload = resolve));
    reader.readAsDataURL(new Blob([window.nmapView.decode.values]));
    await read;
    return reader.result.split(",")[1];
  });
  const bytes = Buffer.from(text, "base64");
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

/** How many pixels of a picture differ from its corner. */
export function inkOf(page, selector) {
  return page.evaluate((wanted) => {
    const canvas = document.querySelector(wanted);
    const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
    const context = copy.getContext("2d");
    context.drawImage(canvas, 0, 0);
    const pixels = new Uint32Array(context.getImageData(0, 0, copy.width, copy.height).data.buffer);
    return pixels.reduce((count, pixel) => count + (pixel !== pixels[0]), 0);
  }, selector);
}

/** Drops a file on the page. */
export async function drop(page, name, bytes) {
  const transfer = await page.evaluateHandle(([label, numbers]) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(numbers)], label));
    return data;
  }, [name, [...bytes]]);
  await page.dispatchEvent("body", "dragover", { dataTransfer: transfer });
  await page.evaluate(() => (window.nmapView.isReady = false));
  await page.dispatchEvent("body", "drop", { dataTransfer: transfer });
  await ready(page);
}

/** Largest difference of two arrays, over the range of the second. */
export function worst(found, wanted) {
  if (found.length !== wanted.length) return Infinity;
  let apart = 0;
  let low = Infinity;
  let high = -Infinity;
  for (let i = 0; i < wanted.length; i++) {
    apart = Math.max(apart, Math.abs(found[i] - wanted[i]));
    low = Math.min(low, wanted[i]);
    high = Math.max(high, wanted[i]);
  }
  return apart / (high - low);
}
