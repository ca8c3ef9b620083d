/** An archive that cannot be read: no ranges of bytes, no zip, no such name, a packed file. */
export class ArchiveError extends Error {}

/**
 * The bytes of one map of an archive that `nmap batch pack` made, for `open`: its directory and that one file are
 * fetched, by ranges.
 */
export function fetchMap(url: string, name: string, options?: { fetch?: typeof fetch }): Promise<Uint8Array>;
