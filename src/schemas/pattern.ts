/**
 * Whether a regular expression can blow up: take exponential time on a text made for it.
 *
 * Invariant: what passes is safe on a bounded text; some safe expressions are refused too. A repeated group must have one
 * reading of where each round ends: a fixed length, or one character that occurs nowhere else in the group.
 */

/** A set of characters: a bit for each of ASCII, bit 128 for all others. */
type CharSet = bigint;

interface Item {
  readonly min: number;
  readonly max: number;
  /** The characters it may take; absent for a group. */
  readonly chars?: CharSet;
  readonly branches?: readonly (readonly Item[])[];
}

const ALL: CharSet = (1n << 129n) - 1n;
const OTHER: CharSet = 1n << 128n;
const MANY = 10;

function setOf(test: (code: number) => boolean): CharSet {
  let set = 0n;
  for (let code = 0; code < 128; code++) if (test(code)) set |= 1n << BigInt(code);
  return set;
}

const DIGIT = setOf((code) => code >= 48 && code <= 57);
const WORD = DIGIT | setOf((code) => (code >= 65 && code <= 90) || (code >= 97 && code <= 122) || code === 95);
const SPACE = setOf((code) => code === 32 || (code >= 9 && code <= 13)) | OTHER;
const NEWLINE = setOf((code) => code === 10 || code === 13);

function single(code: number): CharSet {
  return code < 128 ? 1n << BigInt(code) : OTHER;
}

/** Why a pattern is not taken, or undefined when it is. */
export function patternFault(pattern: string): string | undefined {
  try {
    new RegExp(pattern, 'u');
  } catch (error) {
    return `is not a regular expression: ${(error as Error).message}`;
  }
  if (pattern.length > 2000) return 'must be at most 2000 characters';
  const reader = new PatternReader(pattern);
  const branches = reader.read();
  if (reader.backreference) return 'must not refer back to a group: that can take exponential time';
  return faultIn(branches);
}

/** Whether a pattern that was taken is linear in its text, so that a text of any length may be matched with it. */
export function isLinearPattern(pattern: string): boolean {
  return pattern.startsWith('^') && !pattern.includes('|') && countUnbounded(new PatternReader(pattern).read()) <= 1;
}

function countUnbounded(branches: readonly (readonly Item[])[]): number {
  let count = 0;
  for (const item of branches.flat()) {
    if (item.max >= MANY) count++;
    if (item.branches !== undefined) count += countUnbounded(item.branches);
  }
  return count;
}

function faultIn(branches: readonly (readonly Item[])[]): string | undefined {
  for (const branch of branches) {
    if (hasRun(branch)) return 'repeats the same characters twice in a row (as in a*a*): one repetition is enough';
    for (const item of branch) {
      if (item.branches === undefined) continue;
      if (item.max >= MANY && !hasClearRounds(item.branches)) {
        return 'repeats a group that can match the same text in more than one way, as in (a+)+ or (a|a)*: that can take exponential time; begin each round with a character that occurs nowhere else in the group, or bound the repetition';
      }
      const fault = faultIn(item.branches);
      if (fault !== undefined) return fault;
    }
  }
  return undefined;
}

/** Two unbounded repetitions of overlapping characters with nothing mandatory between them. */
function hasRun(branch: readonly Item[]): boolean {
  let open: CharSet = 0n;
  for (const item of branch) {
    if (item.chars !== undefined && item.max >= MANY) {
      if ((open & item.chars) !== 0n) return true;
      open = item.min > 0 ? item.chars : open | item.chars;
    } else if (item.min > 0) open = 0n;
  }
  return false;
}

function hasClearRounds(branches: readonly (readonly Item[])[]): boolean {
  const [only] = branches;
  if (only !== undefined && branches.length === 1) return only.every(isFixed) || hasSeparator(only);
  if (!branches.every((branch) => branch.length > 0 && branch.every(isFixed))) return false;
  return branches.every((branch, i) => branches.slice(i + 1).every((other) => areApart(branch, other)));
}

function isFixed(item: Item): boolean {
  if (item.min !== item.max) return false;
  if (item.branches === undefined) return true;
  const lengths = new Set(item.branches.map(fixedLength));
  return lengths.size === 1 && !lengths.has(undefined);
}

function fixedLength(branch: readonly Item[]): number | undefined {
  let length = 0;
  for (const item of branch) {
    if (!isFixed(item)) return undefined;
    length += item.min * (item.branches === undefined ? 1 : (fixedLength(item.branches[0] ?? []) ?? 0));
  }
  return length;
}

function hasSeparator(branch: readonly Item[]): boolean {
  const unwrapped =
    branch.length === 1 && branch[0]?.branches?.length === 1 && branch[0].max === 1 ? (branch[0].branches[0] ?? []) : branch;
  return unwrapped.some((item, i) => {
    if ((i !== 0 && i !== unwrapped.length - 1) || item.min === 0) return false;
    const rest = unwrapped.filter((_, other) => other !== i);
    if ((charsOf([item]) & charsOf(rest)) !== 0n) return false;
    return (item.chars !== undefined && item.max === 1) || rest.some((other) => !isNullable(other));
  });
}

function isNullable(item: Item): boolean {
  return item.min === 0 || (item.branches?.some((branch) => branch.every(isNullable)) ?? false);
}

function charsOf(items: readonly Item[]): CharSet {
  let set = 0n;
  for (const item of items) set |= item.chars ?? charsOf((item.branches ?? []).flat());
  return set;
}

/** Whether no text can match both of two branches of fixed length, nor begin with both. */
function areApart(a: readonly Item[], b: readonly Item[]): boolean {
  const left = positions(a);
  const right = positions(b);
  return left.some((set, i) => i < right.length && (set & (right[i] as CharSet)) === 0n);
}

function positions(branch: readonly Item[]): CharSet[] {
  return branch.flatMap((item) => {
    const sets =
      item.chars === undefined ? new Array<CharSet>(fixedLength(item.branches?.[0] ?? []) ?? 0).fill(charsOf([item])) : [item.chars];
    return Array.from({ length: Math.min(item.min, MANY) }, () => sets).flat();
  });
}

/** Reads what the engine has already accepted. */
class PatternReader {
  readonly #text: string;
  #at = 0;
  backreference = false;

  constructor(text: string) {
    this.#text = text;
  }

  read(): Item[][] {
    const branches: Item[][] = [[]];
    while (this.#at < this.#text.length && this.#text[this.#at] !== ')') {
      if (this.#text[this.#at] === '|') {
        this.#at++;
        branches.push([]);
        continue;
      }
      const atom = this.#atom();
      if (atom === undefined) continue;
      const [min, max] = this.#quantifier();
      branches[branches.length - 1]?.push({ ...atom, min, max });
    }
    return branches;
  }

  /** A set of characters or a group; undefined for what takes no characters. */
  #atom(): { chars: CharSet } | { branches: Item[][] } | undefined {
    const character = this.#text.codePointAt(this.#at) as number;
    const text = String.fromCodePoint(character);
    this.#at += text.length;
    switch (text) {
      case '^':
      case '$':
        return undefined;
      case '.':
        return { chars: ALL & ~NEWLINE };
      case '[':
        return { chars: this.#class() };
      case '(':
        return this.#group();
      case '\\':
        return this.#escape();
      default:
        return { chars: single(character) };
    }
  }

  #group(): { branches: Item[][] } | undefined {
    const head = /^\?(?:[:=!]|<[=!]|<[^>]+>)/.exec(this.#text.slice(this.#at, this.#at + 100))?.[0] ?? '';
    this.#at += head.length;
    const branches = this.read();
    this.#at++;
    // A look-around takes nothing, but what is in it is tried all the same.
    return { branches };
  }

  #escape(): { chars: CharSet } | undefined {
    const letter = this.#text[this.#at++] as string;
    if (letter === 'b' || letter === 'B') return undefined;
    if (/[1-9k]/.test(letter)) this.backreference = true;
    return { chars: this.#escapedSet(letter) };
  }

  #escapedSet(letter: string): CharSet {
    switch (letter) {
      case 'd':
        return DIGIT;
      case 'D':
        return ALL & ~DIGIT;
      case 'w':
        return WORD;
      case 'W':
        return ALL & ~WORD;
      case 's':
        return SPACE;
      case 'S':
        return (ALL & ~SPACE) | OTHER;
      case 'p':
      case 'P':
        this.#at = this.#text.indexOf('}', this.#at) + 1;
        return ALL;
      case 'x':
        return single(Number.parseInt(this.#skip(2), 16));
      case 'u': {
        const braced = this.#text[this.#at] === '{';
        const digits = braced ? this.#skip(this.#text.indexOf('}', this.#at) + 1 - this.#at).slice(1, -1) : this.#skip(4);
        return single(Number.parseInt(digits, 16));
      }
      case 'c':
        return single((this.#skip(1).codePointAt(0) as number) % 32);
      default:
        return single(
          'tnrvf0'.includes(letter) ? ('\t\n\r\v\f\0'.codePointAt('tnrvf0'.indexOf(letter)) as number) : (letter.codePointAt(0) as number),
        );
    }
  }

  #skip(length: number): string {
    const text = this.#text.slice(this.#at, this.#at + length);
    this.#at += length;
    return text;
  }

  #class(): CharSet {
    const negated = this.#text[this.#at] === '^';
    if (negated) this.#at++;
    let set: CharSet = 0n;
    while (this.#text[this.#at] !== ']') {
      const [from, low] = this.#classAtom();
      if (low !== undefined && this.#text[this.#at] === '-' && this.#text[this.#at + 1] !== ']') {
        this.#at++;
        const [to, high] = this.#classAtom();
        set |= from | to | setOf((code) => code >= low && code <= (high ?? low));
        if ((high ?? 0) > 127) set |= OTHER;
      } else set |= from;
    }
    this.#at++;
    return negated ? (ALL & ~set) | OTHER : set;
  }

  /** A set, and its code point when it is one ASCII character or above. */
  #classAtom(): [CharSet, number | undefined] {
    const code = this.#text.codePointAt(this.#at) as number;
    this.#at += code > 0xffff ? 2 : 1;
    if (code !== 92) return [single(code), code];
    const letter = this.#text[this.#at++] as string;
    if (letter === 'b') return [single(8), 8];
    const set = this.#escapedSet(letter);
    if (/[dDwWsSpP]/.test(letter)) return [set, undefined];
    return [set, set === OTHER ? 128 : set.toString(2).length - 1];
  }

  #quantifier(): [number, number] {
    const match = /^(?:([*+?])|\{(\d+)(,?)(\d*)\})\??/.exec(this.#text.slice(this.#at, this.#at + 40));
    if (match === null) return [1, 1];
    this.#at += match[0].length;
    if (match[1] !== undefined) return match[1] === '?' ? [0, 1] : [match[1] === '*' ? 0 : 1, Infinity];
    const min = Number(match[2]);
    return [min, match[3] === '' ? min : match[4] === '' ? Infinity : Number(match[4])];
  }
}
