// What can be wrong with a file: one class per kind of failure.

/** A file that breaks the format; `check` is the number in section 5 of the specification. */
export class FormatError extends Error {
  constructor(check, message) {
    super(message);
    this.name = "FormatError";
    this.check = check;
  }
}

/** A file that needs a version, feature, model kind or coding that this reader does not have. */
export class UnsupportedError extends FormatError {
  constructor(check, message) {
    super(check, message);
    this.name = "UnsupportedError";
  }
}

/** A file with bytes after its end, as an HDF5 program leaves them. */
export class AppendedDataError extends FormatError {
  constructor(check, message) {
    super(check, message);
    this.name = "AppendedDataError";
  }
}

/** A request for more samples than the caller allows. */
export class LimitError extends Error {
  constructor(message) {
    super(message);
    this.name = "LimitError";
  }
}

/** A text from a file, safe to show in one line: at most `length` characters, none of them for control. */
export function shown(value, length = 60) {
  const text = typeof value === "string" ? value : JSON.stringify(value) ?? String(value);
  return JSON.stringify(text.slice(0, length)).slice(1, -1);
}
