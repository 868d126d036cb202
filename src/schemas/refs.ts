/**
 * References: one text that names an object, or one key of its data.
 *
 *   rune://<type>/<namespace>/<name>[/<key>]      canonical; `-` stands for the cluster scope
 *   rune://<type>/<namespace>/id/<uid>[/<key>]    by uid
 *   <type>:<name>.<namespace>.rune[/<key>]        short
 *   <type>:<name>[/<key>]                         shorter: the namespace is left to the caller
 *
 * Invariant: `parseRef(formatRef(ref))` equals `ref` for every legal ref; anything else throws an InvalidRefError.
 */
import { InvalidRefError, type RefPart } from './errors.js';
import { isWellFormedText } from './json-check.js';
import { isName, isNamespace, isTypeName } from './names.js';
import { show } from './text.js';

/** A parsed reference. Exactly one of `name` and `uid` is there. */
export interface Ref {
  readonly type: string;
  /** Absent: cluster scope, or left to the caller. */
  readonly namespace?: string;
  readonly name?: string;
  readonly uid?: string;
  /** A key in the object's data. */
  readonly key?: string;
}

/** A reference as it is given to be formatted. */
export interface RefInput {
  readonly type: string;
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  readonly uid?: string | undefined;
  readonly key?: string | undefined;
}

/** How a reference is read. */
export interface ParseRefOptions {
  /** What the shortest form means by leaving its namespace out. */
  readonly defaultNamespace?: string | undefined;
}

const SCHEME = 'rune://';
const CLUSTER = '-';
const SUFFIX = '.rune';
const LONGEST = 8192;
const KEY_MAX = 253;
// Control characters would break a line of a log; nothing else is refused.
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

function fail(text: unknown, part: RefPart, message: string): never {
  throw new InvalidRefError(`reference ${show(text)} has a wrong ${part}: ${message}`, { part });
}

/**
 * The reference that a text names.
 *
 * @throws {InvalidRefError} whose `part` says what is wrong
 * @example parseRef('secret:db.prod.rune/password') // { type: 'secret', namespace: 'prod', name: 'db', key: 'password' }
 */
export function parseRef(text: string, options: ParseRefOptions = {}): Ref {
  if (typeof text !== 'string') return fail(text, 'scheme', 'it must be a text');
  if (text.length > LONGEST) return fail(text, 'scheme', `it must be at most ${LONGEST} characters`);
  return text.startsWith(SCHEME) ? parseUri(text) : parseShort(text, options);
}

function parseUri(text: string): Ref {
  const raw = text.slice(SCHEME.length).split('/');
  const decode = (part: RefPart, index: number): string => decodePart(text, part, raw[index]);
  const type = decode('type', 0);
  const namespace = decode('namespace', 1);
  const scope = namespace === CLUSTER ? undefined : namespace;
  const byUid = raw[2] === 'id' && raw.length >= 4;
  const keyAt = byUid ? 4 : 3;
  if (raw.length > keyAt + 1) return fail(text, 'key', 'there is too much after it; write "/" inside a key as %2F');
  const key = raw.length > keyAt ? decode('key', keyAt) : undefined;
  return checkRef(
    text,
    byUid ? { type, namespace: scope, uid: decode('uid', 3), key } : { type, namespace: scope, name: decode('name', 2), key },
  );
}

function parseShort(text: string, options: ParseRefOptions): Ref {
  const colon = text.indexOf(':');
  if (colon === -1 || text.startsWith(':/', colon)) {
    return fail(text, 'scheme', 'write rune://<type>/<namespace>/<name>, <type>:<name>.<namespace>.rune or <type>:<name>');
  }
  const slash = text.indexOf('/', colon);
  const address = text.slice(colon + 1, slash === -1 ? undefined : slash);
  const rawKey = slash === -1 ? undefined : text.slice(slash + 1);
  if (rawKey?.includes('/') === true) return fail(text, 'key', 'there is too much after it; write "/" inside a key as %2F');
  const type = decodePart(text, 'type', text.slice(0, colon));
  const key = rawKey === undefined ? undefined : decodePart(text, 'key', rawKey);
  const full = address.endsWith(SUFFIX) ? address.slice(0, -SUFFIX.length) : '';
  const dot = full.lastIndexOf('.');
  if (dot !== -1) {
    const namespace = decodePart(text, 'namespace', full.slice(dot + 1));
    return checkRef(text, { type, namespace, name: decodePart(text, 'name', full.slice(0, dot)), key });
  }
  return checkRef(text, { type, namespace: options.defaultNamespace, name: decodePart(text, 'name', address), key });
}

function decodePart(text: string, part: RefPart, raw: string | undefined): string {
  if (raw === undefined || raw === '') return fail(text, part, 'it is missing');
  if (/[?#\s]/.test(raw)) return fail(text, part, 'blanks, "?" and "#" must be percent-encoded');
  if (!raw.includes('%')) return raw;
  try {
    return decodeURIComponent(raw);
  } catch {
    return fail(text, part, 'its percent-encoding is broken');
  }
}

function checkRef(shown: unknown, ref: RefInput): Ref {
  const { type, namespace, name, uid, key } = ref;
  if (!isTypeName(type))
    return fail(shown, 'type', `${show(type)} is not an exact type name: lower case letters, digits, ".", "_" and "-"`);
  if (namespace !== undefined && !isNamespace(namespace)) {
    return fail(
      shown,
      'namespace',
      `${show(namespace)} is not a namespace: a DNS-1123 label other than "all", or "-" for the cluster scope`,
    );
  }
  if (uid === undefined) {
    if (!isName(name)) return fail(shown, 'name', `${show(name)} is not a DNS-1123 subdomain of at most 253 characters`);
  } else {
    if (name !== undefined) return fail(shown, 'name', 'a reference has a name or a uid, not both');
    if (!isFree(uid)) return fail(shown, 'uid', `${show(uid)} is not a uid: 1 to ${KEY_MAX} characters, none of them a control character`);
  }
  if (key !== undefined && !isFree(key))
    return fail(shown, 'key', `${show(key)} is not a key: 1 to ${KEY_MAX} characters, none of them a control character`);
  return {
    type,
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? { name: name as string } : { uid }),
    ...(key === undefined ? {} : { key }),
  };
}

function isFree(text: unknown): text is string {
  return typeof text === 'string' && text !== '' && text.length <= KEY_MAX && !CONTROL.test(text) && isWellFormedText(text);
}

/**
 * The canonical text of a reference.
 *
 * @throws {InvalidRefError} when it is not a legal reference
 * @example formatRef('service', 'prod', 'web') // 'rune://service/prod/web'
 */
export function formatRef(ref: RefInput): string;
export function formatRef(type: string, namespace: string | undefined, name: string): string;
export function formatRef(refOrType: RefInput | string, namespace?: string, name?: string): string {
  const given = typeof refOrType === 'string' ? { type: refOrType, namespace: namespace === '' ? undefined : namespace, name } : refOrType;
  if (typeof given !== 'object' || given === null) return fail(given, 'scheme', 'it must be a Ref');
  const ref = checkRef(given, given);
  const key = ref.key === undefined ? '' : `/${encodeURIComponent(ref.key)}`;
  // `id` followed by something more reads as the uid form, so that the name is written in a way that does not.
  const target = ref.uid === undefined ? (ref.name === 'id' && key !== '' ? '%69d' : ref.name) : `id/${encodeURIComponent(ref.uid)}`;
  return `${SCHEME}${ref.type}/${ref.namespace ?? CLUSTER}/${target}${key}`;
}
