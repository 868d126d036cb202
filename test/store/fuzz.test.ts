/** A hundred thousand inputs that are made to break a store: each is refused with a typed error, or comes back as it went in. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StatusError } from '../../src/schemas/index.js';
import type { Store } from '../../src/store/index.js';
import { Widget } from '../../src/testing/conformance/store-widget.js';
import { onStorage } from './on-engines.js';
import { Fuzz, thrown } from './fuzz.js';
import type { FuzzedCall } from './fuzz.js';

const BATCH = 500;
/** A bad request, what is not there, what is there already, too large, invalid. */
const CODES = new Set([400, 404, 409, 413, 422]);

let depth: number;
beforeEach(() => {
  // A hundred thousand stacks would be most of the work.
  depth = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
});
afterEach(() => {
  Error.stackTraceLimit = depth;
});

interface Made {
  readonly call: FuzzedCall;
  readonly object: Readonly<Record<string, unknown>> & { readonly metadata: { readonly namespace?: string; readonly name: string } };
}

/** What came of a call: the object, or why not. @throws whatever is no answer of a store */
async function outcome(store: Store, call: FuzzedCall): Promise<Made | undefined> {
  const { type, namespace, name, input, options } = call;
  try {
    const object = await store.create(type as 'plain', namespace as string, name as string, input as never, options as never);
    return { call, object: object as unknown as Made['object'] };
  } catch (error) {
    // What the input itself throws is the caller's own.
    if (error === thrown || (error instanceof StatusError && CODES.has(error.code))) return undefined;
    throw new Error(`create of ${describeCall(call)} failed with no error of a store's`, { cause: error });
  }
}

function describeCall({ type, namespace, name, input }: FuzzedCall): string {
  const text = (value: unknown): string => {
    try {
      return (JSON.stringify(value) ?? String(value)).slice(0, 500);
    } catch (error) {
      return `(${String(error)})`;
    }
  };
  return `${text(typeof type === 'object' ? 'widget' : type)} ${text(namespace)} ${text(name)}: ${text(input)}`;
}

/** Everything outside metadata comes back as it went in, as far as it is JSON. */
function sameContent({ call, object }: Made): boolean {
  const given = call.input as Record<string, unknown>;
  return Object.keys(given).every(
    (part) =>
      part === 'metadata' ||
      given[part] === undefined ||
      (typeof call.type === 'object' && (part === 'spec' || part === 'status')) ||
      JSON.stringify(object[part]) === JSON.stringify(given[part]),
  );
}

async function fuzzed(store: Store, count: number, seed: number): Promise<{ made: number; refused: number }> {
  const fuzz = new Fuzz(seed, [Widget, 'plain', 'plain', 'other']);
  let made = 0;
  let refused = 0;
  let revision = 0;
  for (let done = 0; done < count; done += BATCH) {
    const canaries = Array.from({ length: 4 }, (_, index) => ({ at: Math.floor((index * BATCH) / 4), name: `canary-${done + index}` }));
    const running: Promise<Made | undefined>[] = [];
    const healthy: Promise<unknown>[] = [];
    for (let index = 0; index < BATCH; index += 1) {
      running.push(outcome(store, fuzz.next()));
      const canary = canaries.find(({ at }) => at === index);
      // Whatever is asked for beside it, what is fine is written.
      if (canary !== undefined) healthy.push(store.create(Widget, 'canary', canary.name, { spec: { size: 1, node: 'n' } }));
    }
    await Promise.all(healthy);
    const outcomes = (await Promise.all(running)).filter((each) => each !== undefined);
    made += outcomes.length;
    refused += BATCH - outcomes.length;
    revision += outcomes.length + healthy.length;
    expect(store.revision, 'what was refused made no revision').toBe(String(revision));
    for (const each of outcomes) {
      const { object, call } = each;
      const read = await store.get(call.type as 'plain', object.metadata.namespace, object.metadata.name);
      if (JSON.stringify(read) !== JSON.stringify(object) || !sameContent(each))
        expect.fail(`${describeCall(call)} came back as ${JSON.stringify(read).slice(0, 500)}`);
    }
  }
  return { made, refused };
}

describe('whatever is given to create', () => {
  it.each([
    ['memory', 100_000],
    ['lmdb', 10_000],
  ] as const)(
    'on the %s engine is refused by a typed error or comes back as it went in, and harms nothing: %i inputs',
    { timeout: 120_000 },
    async (engine, count) => {
      await onStorage(engine, async ({ open }) => {
        let store = await open();
        const { made, refused } = await fuzzed(store, count, 42);
        expect(made).toBeGreaterThan(count / 4);
        expect(refused).toBeGreaterThan(count / 8);
        expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
        expect((await store.verify()).problems).toEqual([]);
        expect((await store.stats()).objects).toBe(Number(store.revision));
        const { revision } = store;
        await store.close();
        store = await open();
        expect([store.revision, (await store.list(Widget, 'canary', { fieldSelector: 'spec.node=n' })).items.length]).toEqual([
          revision,
          (count / BATCH) * 4,
        ]);
      })();
    },
  );
});
