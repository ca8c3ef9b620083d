// What the page says of a file.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { correlationText, factsLine, sideChains, size, told, warningLine } from "../../nmap/viewer/static/facts.js";
import { levelAbove, statistics } from "../../nmap/viewer/static/statistics.js";

const about = {
  name: "emd_3488.map.gz", shape: [100, 100, 100], voxelSize: [1.05, 1.05, 1.05], bytes: 8310, kind: "siren", parameters: 12000,
  bandLimit: 3.2, symmetry: "C2", worst: 0.9823, worstTo: 3.2, correlation: 0.98,
};

test("the line of facts says what map, how small, and how true", () => {
  const words = factsLine(about);
  for (const part of ["emd_3488.map.gz: 100 × 100 × 100 voxels of 1.05 Å", "8310 bytes, 1/481 of the map's 4.00 MB", "siren, 12000 weights, C2", "nothing finer than 3.2 Å", "FSC 0.9823 in the worst shell to 3.2 Å", "correlation 0.9800"]) {
    assert.ok(words.includes(part), part);
  }
});

test("the line of facts of a series counts all its frames", () => {
  const words = factsLine({ ...about, axis: { name: "t", at: [0, 1, 2], period: null } });
  for (const part of ["emd_3488.map.gz: 3 frames of 100 × 100 × 100 voxels", "8310 bytes, 1/1444 of the 3 maps' 12.0 MB"]) assert.ok(words.includes(part), part);
});

test("a file that tells less gets a shorter line", () => {
  const words = factsLine({ ...about, name: "", bandLimit: null, symmetry: "C1", worst: undefined, correlation: undefined });
  assert.ok(words.startsWith("map: 100 ×") && words.endsWith("no band limit") && !/undefined|NaN/.test(words));
});

const { rule, cases } = JSON.parse(readFileSync(new URL("../data/side_chains.json", import.meta.url)));

test("the page judges side chains as the program does", () => {
  for (const { what, record, verdict, wanted } of cases) assert.deepEqual(sideChains(told(record), rule), { verdict, wanted }, what);
});

test("a file that may lose side chains has a warning, one that keeps them none, nor one that does not say", () => {
  const of = (fidelity, settings = {}, more = {}) => warningLine({ ...told({ fit: { settings }, fidelity }), ...more }, rule);
  assert.match(of({ worst: 0.90349 }, { preset: "preview" }), /"preview" at an FSC of 0.9034 .*side chains may be missing.* 0.995 keeps/);
  assert.match(of({ worst: 0.9 }, {}, { bandLimit: 8 }), /: detail may be missing/);
  assert.equal(of({ worst: 0.9925, mask: "envelope" }), "");
  assert.equal(of({ worst: 0.9 }, {}, { shape: [1, 100, 100] }), "");
  assert.equal(of({}), "");
});

test("a correlation is rounded down, as the program writes it", () => {
  for (const [value, text] of [[0.9, "0.9000"], [0.89999, "0.8999"], [0.99536, "0.9953"], [0.99958, "0.99958"], [1, "1.0000"], [-0.3, "-0.3000"]]) {
    assert.equal(correlationText(value), text);
  }
});

test("sizes are exact below ten thousand bytes", () => {
  assert.deepEqual([9999, 15101, 55297024].map(size), ["9999 bytes", "15.1 kB", "55.3 MB"]);
});

test("a level that a share of the values lies above is found in the histogram", () => {
  const values = Float32Array.from({ length: 10000 }, (_, i) => i);
  const found = statistics(values);
  assert.equal(found.mean, 4999.5);
  assert.ok(Math.abs(found.sigma - 10000 / Math.sqrt(12)) < 0.01);
  assert.ok(Math.abs(levelAbove(found, 0.1) - 9000) < 5);
});
