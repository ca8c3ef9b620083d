// JSON as section 5, check 2 wants it: no duplicate names, no NaN or infinities, no half surrogate pairs.
// Objects come without a prototype, so that a name such as "__proto__" is a name like any other.

import { FormatError, shown } from "./errors.js";

const CHECK = 2;
// Deeper than any writer goes, and far from the end of the call stack.
const MAX_DEPTH = 64;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const HALF_PAIR = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;
const ESCAPES = { '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };
const WORDS = { true: true, false: false, null: null };

/** The object that a JSON text is; `what` names the text in messages. */
export function parseObject(text, what) {
  if (!text.startsWith("{")) throw new FormatError(CHECK, `${what} begins with "${shown(text.slice(0, 1))}", wanted "{"`);
  const end = text.replace(/ +$/, "").length;
  if (text[end - 1] !== "}") throw new FormatError(CHECK, `${what} ends with "${shown(text[end - 1])}", wanted "}" and spaces only`);
  const parser = new Parser(text.slice(0, end), what);
  const value = parser.value(0);
  if (parser.at !== end) parser.fail("more than one value");
  return value;
}

class Parser {
  constructor(text, what) {
    this.text = text;
    this.what = what;
    this.at = 0;
  }

  fail(why) {
    throw new FormatError(CHECK, `${this.what} is not valid JSON: ${why} at character ${this.at}`);
  }

  skip() {
    while (" \n\r\t".includes(this.text[this.at] ?? "x")) this.at++;
  }

  /** Whether the next character is this one; if so it is taken. */
  takes(character) {
    this.skip();
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  value(depth) {
    if (depth > MAX_DEPTH) this.fail(`nested deeper than ${MAX_DEPTH}`);
    this.skip();
    if (this.takes("{")) return this.object(depth);
    if (this.takes("[")) return this.array(depth);
    if (this.takes('"')) return this.string();
    for (const word in WORDS) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return WORDS[word];
      }
    }
    return this.number();
  }

  object(depth) {
    const out = Object.create(null);
    if (this.takes("}")) return out;
    do {
      if (!this.takes('"')) this.fail("a name is missing");
      const name = this.string();
      if (name in out) throw new FormatError(CHECK, `${this.what} has the name "${shown(name)}" twice`);
      if (!this.takes(":")) this.fail("a colon is missing");
      out[name] = this.value(depth + 1);
    } while (this.takes(","));
    if (!this.takes("}")) this.fail("a comma or bracket is missing");
    return out;
  }

  array(depth) {
    const out = [];
    if (this.takes("]")) return out;
    do out.push(this.value(depth + 1));
    while (this.takes(","));
    if (!this.takes("]")) this.fail("a comma or bracket is missing");
    return out;
  }

  string() {
    let out = "";
    for (;;) {
      PLAIN.lastIndex = this.at;
      const plain = PLAIN.exec(this.text)[0];
      this.at += plain.length;
      out += plain;
      const next = this.text[this.at++];
      if (next === '"') break;
      if (next !== "\\") this.fail("a text without end or with a control character");
      out += this.escape();
    }
    if (HALF_PAIR.test(out)) throw new FormatError(CHECK, `${this.what} holds half a surrogate pair, which is not Unicode`);
    return out;
  }

  escape() {
    const letter = this.text[this.at++];
    if (letter !== "u") return ESCAPES[letter] ?? this.fail("an unknown escape");
    const digits = this.text.slice(this.at, this.at + 4);
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.fail("an unknown escape");
    this.at += 4;
    return String.fromCharCode(parseInt(digits, 16));
  }

  number() {
    NUMBER.lastIndex = this.at;
    const found = NUMBER.exec(this.text);
    if (!found) {
      const word = /^-?(NaN|Infinity)/.exec(this.text.slice(this.at, this.at + 12));
      if (word) throw new FormatError(CHECK, `${this.what} holds ${word[0]}, which is not JSON`);
      this.fail("a value is missing");
    }
    this.at += found[0].length;
    const value = Number(found[0]);
    if (!Number.isFinite(value)) throw new FormatError(CHECK, `${this.what} holds the number ${found[0].slice(0, 40)}, wanted finite ones`);
    return value;
  }
}
