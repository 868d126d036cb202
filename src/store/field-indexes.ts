/**
 * What an object can be looked up by: its uid, its owners, the fields that its type declares.
 *
 * Invariants: no engine refuses an entry made here, whatever the field holds. Several texts may share an entry, so whoever
 * looks a field up still compares the field itself.
 */
import { fieldText, getPath, isWellFormedText } from '../schemas/index.js';
import type { OwnerReference } from '../schemas/index.js';
import type { IndexEntry } from './engine.js';
import type { TypeInfo } from './registry.js';
import type { Stored } from './write/rules.js';

/** How much of a text is looked at, in UTF-16 units. */
const VALUE_LENGTH = 256;
// In V8 since Node 20, in the compiler's library since ES2024.
const toWellFormed = (String.prototype as unknown as { toWellFormed(this: string): string }).toWellFormed;

export function indexEntries(info: TypeInfo, object: Stored): readonly IndexEntry[] {
  const entries: IndexEntry[] = [{ index: 'uid', value: object.metadata.uid }];
  const owners = object.metadata.ownerReferences as readonly OwnerReference[] | undefined;
  if (owners !== undefined) for (const owner of owners) entries.push({ index: 'owner', value: owner.uid });
  for (const path of info.storeIndexes) {
    const value = fieldText(getPath(object, path));
    // An absent field is not looked up but scanned for: most objects have most fields absent.
    if (value !== undefined && value !== '') entries.push(fieldEntry(info.type, path, value));
  }
  return entries;
}

/** The entry of a declared field that has this text. */
export function fieldEntry(type: string, path: string, text: string): IndexEntry {
  return { index: `field:${type}:${path.startsWith('.') ? path.slice(1) : path}`, value: indexValue(text) };
}

/** A text as it is kept in an index: cut, without NUL, without half of what the cut went through. */
function indexValue(text: string): string {
  const start = text.length > VALUE_LENGTH ? text.slice(0, VALUE_LENGTH) : text;
  const whole = isWellFormedText(start) ? start : toWellFormed.call(start);
  return whole.includes('\0') ? whole.replaceAll('\0', '\uFFFD') : whole;
}
