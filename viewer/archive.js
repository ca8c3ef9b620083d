/**
 * One map of an archive that `nmap batch pack` made, fetched by ranges of bytes: the archive's directory and that one
 * file, nothing else. Zip format: APPNOTE 6.3.10, sections 4.3.6 to 4.3.16.
 *
 *     const bytes = await fetchMap("https://example.org/archive.zip", "emd_11007");
 *     const map = open(bytes);
 */

/** An archive that cannot be read: no ranges, no zip, no such name, a packed file. */
export class ArchiveError extends Error {}

// The closing record with the longest comment that there can be, and what zip64 puts before it.
const TAIL = 2 ** 16 + 128;
// The largest `.nmap` file and directory that are fetched.
const MAX_BYTES = 2 ** 30 + 2 ** 21;
const END = 0x06054b50;
const END_64 = 0x06064b50;
const END_64_PLACE = 0x07064b50;
const ENTRY = 0x02014b50;
const LOCAL = 0x04034b50;
// Of a local header: its fixed part, and room for its name and extra field, which may be longer than the directory's.
const LOCAL_BYTES = 30;
const LOCAL_ROOM = 4096;

/**
 * The bytes of one map.
 * @param {string} url of the archive
 * @param {string} name of the map in it, with or without `.nmap`
 * @param options `fetch`: what fetches, by default the platform's
 * @returns {Promise<Uint8Array>} for `open`
 * @throws ArchiveError
 */
export async function fetchMap(url, name, { fetch = globalThis.fetch } = {}) {
  const tail = await range(fetch, url, `bytes=-${TAIL}`);
  const { offset, size } = directoryPlace(tail);
  const held = offset >= tail.start ? tail.bytes.subarray(offset - tail.start, offset - tail.start + size) : null;
  const directory = held ?? (await range(fetch, url, `bytes=${offset}-${offset + size - 1}`)).bytes;
  const entry = find(directory, name);
  const last = Math.min(entry.offset + LOCAL_BYTES + LOCAL_ROOM + entry.size, tail.total) - 1;
  const { bytes } = await range(fetch, url, `bytes=${entry.offset}-${last}`);
  const view = viewOf(bytes);
  if (bytes.length < LOCAL_BYTES || view.getUint32(0, true) !== LOCAL) throw new ArchiveError(`${name}: damaged archive`);
  const begin = LOCAL_BYTES + view.getUint16(26, true) + view.getUint16(28, true);
  if (begin + entry.size > bytes.length) throw new ArchiveError(`${name}: damaged archive`);
  return bytes.slice(begin, begin + entry.size);
}

/** A range of a file: its bytes, where they start, and how long the whole is. */
async function range(fetch, url, wanted) {
  const answer = await fetch(url, { headers: { Range: wanted } });
  const place = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(answer.headers.get("Content-Range") ?? "");
  if (answer.status !== 206 || !place) {
    throw new ArchiveError(`${url}: status ${answer.status}: wanted a server that gives ranges of bytes, and tells of them`);
  }
  return { bytes: new Uint8Array(await answer.arrayBuffer()), start: Number(place[1]), total: Number(place[3]) };
}

/** Where the directory lies, from the end of the archive. */
function directoryPlace({ bytes, start }) {
  const view = viewOf(bytes);
  for (let at = bytes.length - 22; at >= 0; at--) {
    if (view.getUint32(at, true) !== END) continue;
    let size = view.getUint32(at + 12, true);
    let offset = view.getUint32(at + 16, true);
    if (at >= 20 && view.getUint32(at - 20, true) === END_64_PLACE) {
      const long = whole(view, at - 12) - start;
      if (long < 0 || long + 56 > bytes.length || view.getUint32(long, true) !== END_64) break;
      size = whole(view, long + 40);
      offset = whole(view, long + 48);
    }
    if (size > MAX_BYTES) throw new ArchiveError(`a directory of ${size} bytes, at most ${MAX_BYTES}`);
    return { offset, size };
  }
  throw new ArchiveError("no zip archive, or cut off");
}

/** The entry of a name. */
function find(directory, name) {
  const view = viewOf(directory);
  const text = new TextDecoder();
  for (let at = 0; at + 46 <= directory.length && view.getUint32(at, true) === ENTRY; ) {
    const lengths = [28, 30, 32].map((place) => view.getUint16(at + place, true));
    const called = text.decode(directory.subarray(at + 46, at + 46 + lengths[0]));
    if (called === name || called === `${name}.nmap`) return entryOf(view, at, lengths, called);
    at += 46 + lengths[0] + lengths[1] + lengths[2];
  }
  throw new ArchiveError(`has no ${JSON.stringify(name)}: wanted one of its names`);
}

function entryOf(view, at, lengths, called) {
  if (view.getUint16(at + 10, true) !== 0 || view.getUint16(at + 8, true) & 1) {
    throw new ArchiveError(`${called}: is packed or encrypted inside the archive: wanted one that is stored as it is`);
  }
  const size = view.getUint32(at + 24, true);
  let offset = view.getUint32(at + 42, true);
  if (size > MAX_BYTES) throw new ArchiveError(`${called}: ${size} bytes, at most ${MAX_BYTES}`);
  if (offset === 0xffffffff) {
    // Zip64 (4.5.3): of the four values only those that did not fit are there; sizes of ours always do.
    let extra = at + 46 + lengths[0];
    const end = extra + lengths[1];
    while (extra + 12 <= end && view.getUint16(extra, true) !== 1) extra += 4 + view.getUint16(extra + 2, true);
    if (extra + 12 > end) throw new ArchiveError(`${called}: damaged archive`);
    offset = whole(view, extra + 4);
  }
  return { offset, size };
}

const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** A whole number of eight bytes that a double holds. */
function whole(view, at) {
  const value = view.getBigUint64(at, true);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new ArchiveError("damaged archive");
  return Number(value);
}
