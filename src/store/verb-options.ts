/**
 * The options of every verb, checked once at the edge: an option that is misspelt or has a value it cannot have is refused,
 * never taken for something else.
 *
 * Invariants: a call without options pays one comparison. Revisions and tokens are parsed where they are used, and refused
 * there in their own words.
 */
import { InvalidError, alternatives, invalid, isUid, show } from '../schemas/index.js';
import type { Cause, CauseReason } from '../schemas/index.js';

/** What is taken when a verb is given no options. */
export const NO_OPTIONS = Object.freeze({});

type Fault = readonly [reason: CauseReason, message: string];
/** What is wrong with a value; undefined: nothing. */
type Rule = (value: unknown) => Fault | undefined;
type Rules = Readonly<Record<string, Rule>>;

const typed =
  (fits: (value: unknown) => boolean, message: string): Rule =>
  (value) =>
    fits(value) ? undefined : ['FieldValueTypeInvalid', message];
const oneOf =
  (...values: readonly string[]): Rule =>
  (value) =>
    values.includes(value as string) ? undefined : ['FieldValueNotSupported', `must be ${alternatives(values)}`];
const wholeFrom =
  (least: number): Rule =>
  (value) =>
    Number.isSafeInteger(value) && (value as number) >= least
      ? undefined
      : ['FieldValueInvalid', `must be a whole number of at least ${least}`];

const text = typed((value) => typeof value === 'string', 'must be a text');
const flag = typed((value) => typeof value === 'boolean', 'must be true or false');
const uid: Rule = (value) => (isUid(value) ? undefined : ['FieldValueInvalid', 'must be the uid of an object']);
const callback = typed((value) => typeof value === 'function', 'must be a function');
const signal = typed(
  (value) => typeof (value as AbortSignal | null)?.aborted === 'boolean' && typeof (value as AbortSignal).addEventListener === 'function',
  'must be an AbortSignal',
);
/** Has a parser of its own, with words of its own. */
const parsed: Rule = () => undefined;
const preconditions: Rule = (value) => {
  if (typeof value !== 'object' || value === null) return ['FieldValueTypeInvalid', 'must be an object with uid, resourceVersion or both'];
  for (const [name, each] of Object.entries(value)) {
    if (name !== 'uid' && name !== 'resourceVersion') return ['FieldValueNotSupported', `knows uid and resourceVersion, not ${show(name)}`];
    if (each !== undefined && typeof each !== 'string') return ['FieldValueTypeInvalid', `must have a text as ${name}`];
  }
  return undefined;
};

const collection = { source: text, dryRun: flag, signal } satisfies Rules;
const write = {
  ...collection,
  receipt: typed((value) => typeof value === 'object' && value !== null, 'must be an object'),
} satisfies Rules;
const update = { ...write, subresource: oneOf('status') } satisfies Rules;
const select = { labelSelector: parsed, fieldSelector: parsed } satisfies Rules;
const propagation = oneOf('background', 'foreground', 'orphan');

const rules = {
  create: write,
  get: { resourceVersion: parsed, signal },
  list: {
    ...select,
    ownerUid: uid,
    filter: callback,
    sortBy: parsed,
    limit: wholeFrom(1),
    continue: parsed,
    resourceVersion: parsed,
    signal,
  },
  update,
  patch: { ...update, type: oneOf('merge', 'json') },
  apply: write,
  modify: update,
  delete: { ...write, preconditions, propagation },
  deleteCollection: { ...collection, ...select, propagation },
  rollback: { ...write, preconditions },
  watch: { ...select, since: parsed, initial: flag, bookmarks: flag, signal },
  transaction: { retries: wholeFrom(0), source: text, signal, receipt: write.receipt },
  getHistory: { limit: wholeFrom(1), before: parsed },
} as const satisfies Record<string, Rules>;

export type VerbWithOptions = keyof typeof rules;

/** @throws {InvalidError} that names every option that is wrong. An option that is undefined is as good as none. */
export function checkOptions(verb: VerbWithOptions, options: object): void {
  if (options === NO_OPTIONS) return;
  if (typeof options !== 'object' || options === null)
    throw new InvalidError(`${verb} takes its options as an object, not ${show(options)}`, {
      causes: [{ reason: 'FieldValueTypeInvalid', field: '', message: 'must be an object' }],
    });
  const known: Rules = rules[verb];
  let causes: Cause[] | undefined;
  for (const name in options) {
    const value = (options as Readonly<Record<string, unknown>>)[name];
    if (value === undefined) continue;
    const fault: Fault | undefined = Object.hasOwn(known, name)
      ? known[name]!(value)
      : ['FieldValueNotSupported', `is no option of ${verb}: there are ${alternatives(Object.keys(known))}`];
    if (fault === undefined) continue;
    const [reason, message] = fault;
    (causes ??= []).push({ reason, field: name, message: Object.hasOwn(known, name) ? `${message}; got ${show(value)}` : message });
  }
  if (causes !== undefined) throw invalid(`the call of ${verb}`, causes);
}
