// The conformance suite of the format: every valid file to its tolerance, every invalid one refused for its reason.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { SimdLayers } from "../simd.js";
import { at, axisOf, decode, gridOf, open, record, sample } from "../nmap.js";

const suite = new URL(process.env.NMAP_SUITE ?? "../../spec/conformance/", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL("manifest.json", suite)));
const read = (file) => new Uint8Array(readFileSync(new URL(file, suite)));

const openAt = (file, t, options) => (t === undefined ? open(read(file), options) : at(open(read(file), options), t));

function worst(found, wanted) {
  assert.equal(found.length, wanted.length);
  return Math.max(...wanted.map((value, i) => Math.abs(value - found[i])));
}

test("the suite is not empty", () => {
  assert.ok(manifest.valid.length >= 25 && manifest.invalid.length >= 86);
});

for (const { file, says, points_xyz: points, values, tolerance, grids = [], at: t } of manifest.valid) {
  test(`${file} has the stated values: ${says}`, () => {
    const map = openAt(file, t);
    assert.ok(worst(sample(map, points), values) <= tolerance);
    for (const grid of grids) assert.ok(worst(decode(map, grid.shape).values, grid.values) <= tolerance);
  });

  test(`${file} decodes to the same on its grid as at the grid's points`, () => {
    const map = openAt(file, t);
    const { shape, origin, axes } = gridOf(map);
    const { values } = decode(map);
    const corners = [[0, 0, 0], shape.map((n) => n - 1), shape.map((n) => n >> 1), [shape[0] >> 2, shape[1] >> 1, 0]];
    const positions = corners.map(([z, y, x]) => origin.map((o, i) => o + x * axes[0][i] + y * axes[1][i] + z * axes[2][i]));
    const found = corners.map(([z, y, x]) => values[(z * shape[1] + y) * shape[2] + x]);
    assert.ok(file.includes("nyquist") || worst(found, [...sample(map, positions)]) <= tolerance);
  });
}

test("a series has no density without a position, and none beyond its ends", () => {
  const { file } = manifest.valid.find((entry) => entry.file.endsWith("series-siren.nmap"));
  const series = open(read(file));
  const { at: frames } = axisOf(series);
  assert.throws(() => decode(series), /position/);
  assert.throws(() => at(series, frames.at(-1) + 0.1), RangeError);
  assert.equal(axisOf(at(series, frames[1])), null);
  assert.throws(() => at(at(series, frames[1]), 0), /not a series/);
});

for (const { file, says, points_xyz: points, values, tolerance } of manifest.record) {
  test(`${file} has the stated values, whatever its record holds: ${says}`, () => {
    assert.ok(worst(sample(open(read(file)), points), values) <= tolerance);
  });
}

for (const { file, says, check, error } of manifest.invalid) {
  test(`${file} is refused: ${says}`, () => {
    assert.throws(() => open(read(file)), (failure) => failure.name === error && failure.check === check);
  });
}

for (const { file, says, points_xyz: points, values, tolerance, kept } of manifest.record ?? []) {
  test(`${file} decodes, and keeps of its record what is good: ${says}`, async () => {
    const map = open(read(file));
    assert.ok(worst(sample(map, points), values) <= tolerance);
    const found = await record(map);
    const names = Object.entries(found.record).map(([group, items]) => [group, Object.keys(items).sort()]).filter(([, items]) => items.length);
    assert.deepEqual(Object.fromEntries(names), kept);
    assert.ok(found.dropped.length > 0 && found.dropped.every((words) => !words.includes("\n")));
  });
}

test("layers of four numbers at a time keep the tolerance of every file", () => {
  assert.ok(SimdLayers.isSupported());
  for (const { file, points_xyz: points, values, tolerance, at: t } of manifest.valid) {
    assert.ok(worst(sample(openAt(file, t, { Layers: SimdLayers }), points), values) <= tolerance, file);
  }
});

test("a region is the crop of the whole, its first sample where it lies", () => {
  for (const file of ["valid/everything.nmap", "valid/radial-basis-d7.nmap", "valid/corners.nmap", "valid/bare-siren-f32.nmap"]) {
    const map = open(read(file));
    for (const shape of [map.metadata.grid.shape, [13, 11, 12]]) {
      const whole = decode(map, shape);
      const region = { start: [2, 1, 3], shape: [3, 4, 2] };
      const part = decode(map, shape, { region });
      const wanted = [];
      for (let z = 2; z < 5; z++) for (let y = 1; y < 5; y++) for (let x = 3; x < 5; x++) wanted.push(whole.values[(z * shape[1] + y) * shape[2] + x]);
      assert.ok(worst([...part.values], wanted) < 1e-5);
      const first = whole.origin.map((o, i) => o + 3 * whole.axes[0][i] + whole.axes[1][i] + 2 * whole.axes[2][i]);
      assert.ok(worst(part.origin, first) < 1e-9);
    }
  }
});
