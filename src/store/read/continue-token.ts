/**
 * The token between two pages: which revision they show, where the next one begins, and for which question it was given.
 *
 * Invariant: a token is only good for the store and the question it was given for, unchanged; anything else is a
 * BadRequestError, never a wrong page. A key that is kept with the data vouches for it.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { BadRequestError, show } from '../../schemas/index.js';
import type { EngineMeta, Key } from '../engine.js';
import type { Entropy } from '../deps.js';

export interface PagePosition {
  readonly revision: number;
  readonly after: Key;
}

interface Token {
  readonly v: 2;
  readonly r: number;
  /** The key that the page before ended with; its type is the question's. */
  readonly n: string;
  readonly o: string;
  readonly q: string;
}

const META_NAME = 'page-tokens';
const KEY_BYTES = 32;
const MAC_BYTES = 16;

/** The key of a store's tokens, made when there is none: pages go on after a restart, and in another process. */
export async function tokenKey(meta: EngineMeta, entropy: Entropy): Promise<Uint8Array> {
  for (;;) {
    const text = await meta.get(META_NAME);
    if (text !== undefined) return Buffer.from(text, 'base64url');
    const made = Buffer.from(entropy.bytes(KEY_BYTES));
    if (await meta.set(META_NAME, made.toString('base64url'), { expect: null })) return made;
  }
}

/** What a page is about, in one comparable text. */
export function questionOf(parts: readonly (string | undefined)[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 16);
}

export function encodeContinue(key: Uint8Array, position: PagePosition, question: string): string {
  const { namespace, name } = position.after;
  const token: Token = { v: 2, r: position.revision, n: namespace, o: name, q: question };
  const text = Buffer.from(JSON.stringify(token));
  return Buffer.concat([macOf(key, text), text]).toString('base64url');
}

/** @throws {BadRequestError} */
export function decodeContinue(
  key: Uint8Array,
  token: string,
  { type, question }: { readonly type: string; readonly question: string },
): PagePosition {
  const bytes = Buffer.from(typeof token === 'string' ? token : '', 'base64url');
  const text = bytes.subarray(MAC_BYTES);
  // Decoding drops what does not belong in a token: only the very text that was given is one.
  if (text.length === 0 || bytes.toString('base64url') !== token || !timingSafeEqual(bytes.subarray(0, MAC_BYTES), macOf(key, text))) {
    throw new BadRequestError(`the continue token is not one of this store (${show(token)}): pass what the page before gave, unchanged`);
  }
  const { r: revision, n: namespace, o: name, q } = JSON.parse(text.toString()) as Token;
  if (q !== question) {
    throw new BadRequestError(
      'the continue token belongs to another list: keep type, namespace and selectors as they were for the first page',
    );
  }
  return { revision, after: { type, namespace, name } };
}

function macOf(key: Uint8Array, text: Uint8Array): Buffer {
  return createHmac('sha256', key).update(text).digest().subarray(0, MAC_BYTES);
}
