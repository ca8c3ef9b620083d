// Times of `nmap view` in a browser without a graphics processor, and a picture of the page.
//
//     node measure.mjs PICTURE.png FILE.nmap [options of nmap view]
//
// Prints one line a figure: seconds from the page's opening, and the tab's memory at its largest.

import { readFileSync } from "node:fs";

import { launch, openPage, ready, serve } from "./browser.mjs";

const [picture, ...words] = process.argv.slice(2);
const browser = await launch();
const command = await serve(...words);
const { page } = await openPage(browser, command.address);
const at = (name) => page.evaluate((mark) => performance.getEntriesByName(mark).at(-1)?.startTime / 1000, name);
const print = (what, value, unit) => console.log(`${what.padEnd(34)} ${value.toFixed(value < 100 ? 2 : 0)} ${unit}`);

print("first surface, band-limit lattice", (await at("first-surface")) ?? (await at("full-grid")), "s");
print("full grid", await at("full-grid"), "s");
const times = [];
for (const sigmas of ["4", "2.5", "3.5"]) {
  const before = await page.evaluate(() => performance.now() / 1000);
  await page.fill("#sigma", sigmas);
  await page.dispatchEvent("#sigma", "change");
  await ready(page);
  times.push((await page.evaluate(() => performance.now() / 1000)) - before);
}
print("new level, slowest of three", Math.max(...times), "s");
const session = await browser.newBrowserCDPSession();
const { processInfo } = await session.send("SystemInfo.getProcessInfo");
// The largest of the browser's page processes is the one with the page.
const peaks = processInfo.filter(({ type }) => type === "renderer").map(({ id }) => /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${id}/status`, "utf8"))[1]);
print("memory of the tab, at most", (Math.max(...peaks) * 1024) / 1e6, "MB");
await page.screenshot({ path: picture });
await page.close();
await browser.close();
process.exit(await command.ended);
