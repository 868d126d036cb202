/**
 * The token between two pages: which revision they show, where the next one begins, and for which question it was given.
 *
 * Invariant: a token is only good for the store and the question it was given for; anything else is a BadRequestError,
 * never a wrong page.
 */
import { createHash } from 'node:crypto';
import { BadRequestError } from '../../schemas/index.js';
import type { Key } from '../engine.js';

export interface PagePosition {
  readonly revision: number;
  readonly after: Key;
}

interface Token {
  readonly v: 1;
  readonly r: number;
  readonly t: string;
  readonly n: string;
  readonly o: string;
  readonly q: string;
}

/** What a page is about, in one comparable text. */
export function questionOf(parts: readonly (string | undefined)[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 16);
}

export function encodeContinue(position: PagePosition, question: string): string {
  const key = position.after;
  const token: Token = { v: 1, r: position.revision, t: key.type, n: key.namespace, o: key.name, q: question };
  return Buffer.from(JSON.stringify(token)).toString('base64url');
}

/** @throws {BadRequestError} */
export function decodeContinue(text: string, question: string): PagePosition {
  let token: Token | undefined;
  try {
    token = JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as Token;
  } catch {
    token = undefined;
  }
  if (
    typeof token !== 'object' ||
    token === null ||
    token.v !== 1 ||
    !Number.isSafeInteger(token.r) ||
    token.r < 0 ||
    [token.t, token.n, token.o].some((part) => typeof part !== 'string')
  ) {
    throw new BadRequestError('the continue token is not one of this store: pass what the page before gave, unchanged');
  }
  if (token.q !== question) {
    throw new BadRequestError(
      'the continue token belongs to another list: keep type, namespace and selectors as they were for the first page',
    );
  }
  return { revision: token.r, after: { type: token.t, namespace: token.n, name: token.o } };
}
