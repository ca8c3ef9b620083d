// The conformance suite of the format: every valid file to its tolerance, every invalid one refused for its reason.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { SimdLayers } from "../simd.js";
import { decode, gridOf, open, sample } from "../nmap.js";

const suite = new URL("../../spec/conformance/", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL("manifest.json", suite)));
const read = (file) => new Uint8Array(readFileSync(new URL(file, suite)));

function worst(found, wanted) {
  assert.equal(found.length, wanted.length);
  return Math.max(...wanted.map((value, i) => Math.abs(value - found[i])));
}

test("the suite is not empty", () => {
  assert.ok(manifest.valid.length >= 25 && manifest.invalid.length >= 86);
});

for (const { file, says, points_xyz: points, values, tolerance, grids = [] } of manifest.valid) {
  test(`${file} has the stated values: ${says}`, () => {
    const map = open(read(file));
    assert.ok(worst(sample(map, points), values) <= tolerance);
    for (const grid of grids) assert.ok(worst(decode(map, grid.shape).values, grid.values) <= tolerance);
  });

  test(`${file} decodes to the same on its grid as at the grid's points`, () => {
    const map = open(read(file));
    const { shape, origin, axes } = gridOf(map);
    const { values } = decode(map);
    const at = [[0, 0, 0], shape.map((n) => n - 1), shape.map((n) => n >> 1), [shape[0] >> 2, shape[1] >> 1, 0]];
    const positions = at.map(([z, y, x]) => origin.map((o, i) => o + x * axes[0][i] + y * axes[1][i] + z * axes[2][i]));
    const found = at.map(([z, y, x]) => values[(z * shape[1] + y) * shape[2] + x]);
    assert.ok(file.includes("nyquist") || worst(found, [...sample(map, positions)]) <= tolerance);
  });
}

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

test("layers of four numbers at a time keep the tolerance of every file", () => {
  assert.ok(SimdLayers.isSupported());
  for (const { file, points_xyz: points, values, tolerance } of manifest.valid) {
    assert.ok(worst(sample(open(read(file), { Layers: SimdLayers }), points), values) <= tolerance, file);
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
