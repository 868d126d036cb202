/**
 * Equal texts of many objects, held once: images, reasons, times and API versions repeat from object to object, and decoding
 * makes each of them anew.
 *
 * Invariants: a text is only ever replaced by one that is equal to it. Memory is bounded by the number of places: a text that
 * meets another one in its place takes it.
 */

/** What is shorter, V8 shares by itself when it parses. */
const SHORTEST = 11;
/** What is longer, repeats rarely, and costs more to compare than it saves. */
const LONGEST = 256;
/** A power of two. */
const PLACES = 4096;

export class SharedStrings {
  readonly #places = new Array<string>(PLACES).fill('');

  /** The text that stands for this one, if one does already; undefined: this one does from now on, or none will. */
  find(text: string): string | undefined {
    const { length } = text;
    if (length < SHORTEST || length > LONGEST) return undefined;
    // The ends tell texts apart: what names things begins alike.
    const at =
      (text.charCodeAt(length - 1) * 31 + text.charCodeAt(length - 2) * 587 + text.charCodeAt(length >> 1) * 8191 + length * 131) &
      (PLACES - 1);
    const known = this.#places[at] as string;
    if (known === text) return known;
    this.#places[at] = text;
    return undefined;
  }
}
