/**
 * Names as Kubernetes bounds them: of objects, namespaces, types, labels, annotations, finalizers.
 *
 * Invariants:
 * - A fine value allocates nothing: each check gives one shared empty list.
 * - Every regular expression runs in linear time on a text already bounded in length.
 */
import { NO_CAUSES, type Cause, type CauseReason } from './errors.js';
import { isWellFormedText } from './json-check.js';
import { isForbiddenKey } from './json-path.js';
import { openly, type Telling } from './telling.js';

const LABEL = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;
const SUBDOMAIN_CHARACTERS = /^[a-z0-9.-]+$/;
const SUBDOMAIN_JOINT = /^[.-]|[.-]$|\.[.-]|-\./;
const QUALIFIED = /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/;
const TYPE = /^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$/;

const NAME_MAX = 253;
const LABEL_MAX = 63;
const LABEL_RULE = 'a DNS-1123 label: lower case letters, digits and "-", with a letter or digit at both ends';
const TYPE_MAX = 128;
/** Bytes that the keys and values of all annotations may take together. */
export const ANNOTATIONS_MAX_BYTES = 256 * 1024;
/** The namespace name that stands for all of them in lists and watches. */
export const ALL_NAMESPACES = 'all';

function one(field: string, message: string, reason: CauseReason = 'FieldValueInvalid'): readonly Cause[] {
  return [{ reason, field, message }];
}

/** Whether a text is a DNS-1123 subdomain of at most 253 characters: what objects are called. */
export function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length <= NAME_MAX && SUBDOMAIN_CHARACTERS.test(value) && !SUBDOMAIN_JOINT.test(value);
}

/** Whether a text is a DNS-1123 label of at most 63 characters. */
export function isDnsLabel(value: unknown): value is string {
  return typeof value === 'string' && value.length <= LABEL_MAX && LABEL.test(value);
}

/** Whether a text may be a namespace's name. */
export function isNamespace(value: unknown): value is string {
  return isDnsLabel(value) && value !== ALL_NAMESPACES;
}

/** Whether a text may be an exact type name. */
export function isTypeName(value: unknown): value is string {
  return typeof value === 'string' && value.length <= TYPE_MAX && TYPE.test(value);
}

/** Whether a text is a qualified name: `name` or `prefix/name`, as label keys are. */
export function isQualifiedName(value: unknown): value is string {
  if (typeof value !== 'string') return false;
  const slash = value.indexOf('/');
  if (slash !== -1 && !isName(value.slice(0, slash))) return false;
  const name = slash === -1 ? value : value.slice(slash + 1);
  return name.length <= LABEL_MAX && QUALIFIED.test(name);
}

/** Whether a text may be a label's value: empty, or at most 63 characters of `[A-Za-z0-9._-]`, with a letter or digit at both ends. */
export function isLabelValue(value: unknown): value is string {
  return typeof value === 'string' && (value === '' || (value.length <= LABEL_MAX && QUALIFIED.test(value)));
}

function textCauses(
  value: unknown,
  field: string,
  { max, rule, telling }: { readonly max: number; readonly rule: string; readonly telling: Telling },
): readonly Cause[] {
  if (value === undefined || value === '') return one(field, `is required: give ${rule}`, 'FieldValueRequired');
  if (typeof value !== 'string') return one(field, `must be a text${telling.got(value)}`, 'FieldValueTypeInvalid');
  if (value.length > max) return one(field, `must be at most ${max} characters${telling.got(value, value.length)}`, 'FieldValueTooLong');
  return one(field, `must be ${rule}${telling.got(value)}`);
}

/** What is wrong with an object's name. */
export function nameCauses(value: unknown, field: string, telling: Telling = openly): readonly Cause[] {
  if (isName(value)) return NO_CAUSES;
  return textCauses(value, field, {
    max: NAME_MAX,
    rule: 'a DNS-1123 subdomain: lower case letters, digits, "-" and ".", with a letter or digit at both ends of each part',
    telling,
  });
}

/** What is wrong with a namespace's name. */
export function namespaceCauses(value: unknown, field: string, telling: Telling = openly): readonly Cause[] {
  if (isNamespace(value)) return NO_CAUSES;
  if (value === ALL_NAMESPACES)
    return one(field, `must not be "${ALL_NAMESPACES}": that means every namespace in lists and watches`, 'FieldValueForbidden');
  return textCauses(value, field, { max: LABEL_MAX, rule: LABEL_RULE, telling });
}

/** What is wrong with a DNS label, such as a plural or a short name. */
export function dnsLabelCauses(value: unknown, field: string): readonly Cause[] {
  if (isDnsLabel(value)) return NO_CAUSES;
  return textCauses(value, field, { max: LABEL_MAX, rule: LABEL_RULE, telling: openly });
}

/** What is wrong with an exact type name, such as `service` or `widgets.example.com`. */
export function typeNameCauses(value: unknown, field = 'type'): readonly Cause[] {
  if (isTypeName(value)) return NO_CAUSES;
  return textCauses(value, field, {
    max: TYPE_MAX,
    rule: 'an exact type name: lower case letters, digits, ".", "_" and "-", with a letter or digit at both ends',
    telling: openly,
  });
}

/** What is wrong with a qualified name: a label key, an annotation key, a finalizer. */
export function qualifiedNameCauses(value: unknown, field: string, telling: Telling = openly): readonly Cause[] {
  if (isQualifiedName(value)) return NO_CAUSES;
  return textCauses(value, field, {
    max: NAME_MAX + 1 + LABEL_MAX,
    rule: 'a qualified name: at most 63 letters, digits, "-", "_" and ".", with an optional DNS prefix and "/" before it',
    telling,
  });
}

/** What is wrong with a label's value. */
export function labelValueCauses(value: unknown, field: string, telling: Telling = openly): readonly Cause[] {
  if (isLabelValue(value)) return NO_CAUSES;
  return textCauses(value, field, {
    max: LABEL_MAX,
    rule: 'empty, or letters, digits, "-", "_" and ".", with a letter or digit at both ends',
    telling,
  });
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What is wrong with a map of labels. */
export function labelsCauses(value: unknown, field: string, telling: Telling = openly): readonly Cause[] {
  if (!isMap(value)) return one(field, `must be an object of texts${telling.got(value)}`, 'FieldValueTypeInvalid');
  let causes: Cause[] | undefined;
  for (const key of Object.keys(value)) {
    const label = value[key];
    if (label === undefined || (isQualifiedName(key) && isLabelValue(label) && !isForbiddenKey(key))) continue;
    causes ??= [];
    causes.push(...keyCauses(key, field, telling));
    if (label === '' || typeof label !== 'string' || !isLabelValue(label))
      causes.push(...labelValueCauses(label, telling.join(field, key), telling));
  }
  return causes ?? NO_CAUSES;
}

function keyCauses(key: string, field: string, telling: Telling): readonly Cause[] {
  if (isForbiddenKey(key)) return one(telling.join(field, key), 'must not be used as a key', 'FieldValueForbidden');
  if (isQualifiedName(key)) return NO_CAUSES;
  return one(
    field,
    `has the key ${telling.key(key)}: a key must be at most 63 letters, digits, "-", "_" and ".", with a letter or digit at both ends, and may have a DNS prefix and "/" before it`,
  );
}

/** What is wrong with a map of annotations: keys as labels have them (any case), values any text, 256 KiB in all. */
export function annotationsCauses(value: unknown, field: string, telling: Telling = openly): readonly Cause[] {
  if (!isMap(value)) return one(field, `must be an object of texts${telling.got(value)}`, 'FieldValueTypeInvalid');
  let causes: Cause[] | undefined;
  let characters = 0;
  for (const key of Object.keys(value)) {
    const annotation = value[key];
    if (annotation === undefined) continue;
    if (!isAnnotationKey(key) || isForbiddenKey(key)) (causes ??= []).push(...keyCauses(key, field, telling));
    if (typeof annotation !== 'string') {
      (causes ??= []).push(...one(telling.join(field, key), `must be a text${telling.got(annotation)}`, 'FieldValueTypeInvalid'));
    } else if (!isWellFormedText(annotation)) {
      (causes ??= []).push(...one(telling.join(field, key), 'must be well-formed Unicode: it holds half of a surrogate pair'));
    } else {
      characters += key.length + annotation.length;
    }
  }
  // A character takes at most three bytes: most need no measuring.
  const bytes = characters * 3 <= ANNOTATIONS_MAX_BYTES ? 0 : annotationBytes(value);
  if (bytes > ANNOTATIONS_MAX_BYTES) {
    (causes ??= []).push(...one(field, `must take at most ${ANNOTATIONS_MAX_BYTES} bytes together; got ${bytes}`, 'FieldValueTooLong'));
  }
  return causes ?? NO_CAUSES;
}

/** Bytes that the keys and texts of annotations take together. */
export function annotationBytes(annotations: Readonly<Record<string, unknown>>): number {
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations))
    if (typeof value === 'string') bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  return bytes;
}

// Kubernetes lowers an annotation's key before it checks the prefix.
function isAnnotationKey(key: string): boolean {
  const asWritten: boolean = isQualifiedName(key);
  return asWritten || isQualifiedName(key.toLowerCase());
}

/** What is wrong with a list of finalizers. */
export function finalizersCauses(value: unknown, field: string, telling: Telling = openly): readonly Cause[] {
  if (!Array.isArray(value)) return one(field, `must be a list of texts${telling.got(value)}`, 'FieldValueTypeInvalid');
  let causes: Cause[] | undefined;
  const seen = value.length > 1 ? new Set<unknown>() : undefined;
  for (let i = 0; i < value.length; i++) {
    if (!isQualifiedName(value[i])) (causes ??= []).push(...qualifiedNameCauses(value[i], telling.join(field, i), telling));
    else if (seen?.has(value[i]) === true) {
      (causes ??= []).push(
        ...one(telling.join(field, i), `must be there once; ${telling.show(value[i])} is there already`, 'FieldValueDuplicate'),
      );
    }
    seen?.add(value[i]);
  }
  return causes ?? NO_CAUSES;
}
