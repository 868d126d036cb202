/**
 * A naive engine, a list of revisions and nothing else, and a fast-check property that runs an engine beside it.
 */
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import type { CommitRequest, Engine, IndexEntry, Key, Precondition, Write } from '../../../src/store/engine.js';
import type { EngineSubject } from '../../../src/testing/conformance/engine-kit.js';
import { changeLines, decode, encode, path, show } from '../../../src/testing/conformance/engine-kit.js';

interface Version {
  readonly path: string;
  readonly key: Key;
  readonly text: string | undefined;
  readonly revision: number;
}

interface ModelWrite {
  readonly key: Key;
  readonly text: string | undefined;
}
type Ref = { readonly back: number } | { readonly request: number };
interface ModelRequest {
  readonly writes: readonly ModelWrite[];
  readonly keyRef?: { readonly key: Key; readonly ref: Ref | 'absent' | 'current' } | undefined;
  readonly prefixRef?: { readonly type: string; readonly namespace: string | undefined; readonly ref: Ref } | undefined;
}
type Step =
  | { readonly type: 'commit'; readonly batch: readonly ModelRequest[] }
  | { readonly type: 'compact'; readonly back: number; readonly keep: number }
  | { readonly type: 'check'; readonly back: number; readonly limit: number }
  | { readonly type: 'reopen' };

const bytes = (key: Key): Buffer => Buffer.from(`${key.type}\0${key.namespace}\0${key.name}`);

class Model {
  revision = 0;
  compacted = 0;
  readonly versions: Version[] = [];
  readonly lines: [number, string][] = [];

  at(key: Key, revision: number): Version | undefined {
    return this.versions.findLast((version) => version.path === path(key) && version.revision <= revision);
  }

  live(key: Key): Version | undefined {
    const version = this.at(key, this.revision);
    return version?.text === undefined ? undefined : version;
  }

  list(revision: number): string[] {
    const keys = new Map(this.versions.map((version) => [version.path, version.key]));
    return [...keys.values()]
      .toSorted((a, b) => Buffer.compare(bytes(a), bytes(b)))
      .map((key) => this.at(key, revision))
      .filter((version) => version?.text !== undefined)
      .map((version) => `${version?.path}=${version?.text}@${version?.revision}`);
  }

  /** The request as the engine gets it, and whether it should succeed. */
  request(
    { writes, keyRef, prefixRef }: ModelRequest,
    index: number,
    revisions: readonly (number | undefined)[],
  ): { request: CommitRequest; ok: boolean } {
    const expect: Precondition[] = [];
    let ok = true;
    const resolve = (ref: Ref): { ref: number | { request: number }; value: number | undefined } => {
      if ('request' in ref && index > 0) {
        const request = ref.request % index;
        return { ref: { request }, value: revisions[request] };
      }
      const value = Math.max(this.compacted, this.revision - ('back' in ref ? ref.back : 0));
      return { ref: value, value };
    };
    if (keyRef !== undefined) {
      const live = this.live(keyRef.key)?.revision ?? 'absent';
      if (keyRef.ref === 'absent' || keyRef.ref === 'current') {
        const revision = keyRef.ref === 'absent' ? 'absent' : live;
        expect.push({ key: keyRef.key, revision });
        ok &&= live === revision;
      } else {
        const { ref, value } = resolve(keyRef.ref);
        expect.push({ key: keyRef.key, revision: ref });
        ok &&= value !== undefined && live === value;
      }
    }
    if (prefixRef !== undefined) {
      const { type, namespace } = prefixRef;
      const { ref, value } = resolve(prefixRef.ref);
      expect.push({ prefix: { type, namespace }, unchangedSince: ref });
      const inside = (key: Key): boolean => key.type === type && (namespace === undefined || key.namespace === namespace);
      ok &&= value !== undefined && !this.versions.some((version) => version.revision > value && inside(version.key));
    }
    ok &&= writes.every((write) => write.text !== undefined || this.live(write.key) !== undefined);
    const revision = this.revision + 1;
    const list = writes.map(({ key, text }): Write => {
      const before = this.live(key);
      const entry: IndexEntry = { index: 'text', value: (text ?? '').slice(0, 9) };
      const removeIndex = before === undefined ? [] : [{ index: 'text', value: (before.text as string).slice(0, 9) }];
      return {
        key,
        value: text === undefined ? undefined : encode(text),
        meta: {
          verb: text === undefined ? 'delete' : before === undefined ? 'create' : 'update',
          uid: path(key),
          generation: revision,
          time: revision,
        },
        removeIndex,
        addIndex: text === undefined ? [] : [entry],
      };
    });
    if (ok) {
      this.revision = revision;
      for (const write of list) {
        const before = this.live(write.key);
        const text = decode(write.value);
        this.lines.push([
          revision,
          `${revision}: ${write.meta.verb} ${path(write.key)}=${text ?? '-'}@${revision} was ${before === undefined ? 'nothing' : `${before.path}=${before.text}@${before.revision}`}`,
        ]);
        this.versions.push({ path: path(write.key), key: write.key, text, revision });
      }
    }
    return { request: { id: `r${revision}`, writes: list, expect }, ok };
  }
}

const key = fc.record({
  type: fc.constantFrom('t', 'tt', 't-t'),
  namespace: fc.constantFrom('', 'n', 'nn'),
  name: fc.constantFrom('a', 'a-', 'aa', 'é', '😀', '\uffee'),
});
const text = fc.option(fc.constantFrom('x', 'y', '', 'long '.repeat(2000)), { nil: undefined, freq: 3 });
const ref: fc.Arbitrary<Ref> = fc.oneof(fc.record({ back: fc.nat(4) }), fc.record({ request: fc.nat(3) }));
const request: fc.Arbitrary<ModelRequest> = fc.record({
  writes: fc.uniqueArray(fc.record({ key, text }), { minLength: 1, maxLength: 3, selector: (write) => path(write.key) }),
  keyRef: fc.option(fc.record({ key, ref: fc.oneof(ref, fc.constant('absent' as const), fc.constant('current' as const)) }), {
    nil: undefined,
    freq: 1,
  }),
  prefixRef: fc.option(fc.record({ type: fc.constantFrom('t', 'tt', 'none'), namespace: fc.constantFrom(undefined, '', 'n'), ref }), {
    nil: undefined,
    freq: 3,
  }),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ type: fc.constant('commit' as const), batch: fc.array(request, { minLength: 1, maxLength: 6 }) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('compact' as const), back: fc.nat(8), keep: fc.nat(3) }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('check' as const), back: fc.nat(12), limit: fc.integer({ min: 1, max: 9 }) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('reopen' as const) }) },
);

async function pages(engine: Engine, limit: number, at: number): Promise<string[]> {
  const seen: string[] = [];
  let after: Key | undefined;
  for (;;) {
    const page = await engine.range({}, { limit, at, after });
    seen.push(...show(page.entries));
    after = page.entries.at(-1)?.key;
    if (!page.more) return seen;
  }
}

async function check(engine: Engine, model: Model, back: number, limit: number): Promise<void> {
  const at = Math.max(model.compacted, model.revision - back);
  assert.deepEqual(engine.revision(), { current: model.revision, compacted: model.compacted });
  assert.deepEqual(await pages(engine, limit, at), model.list(at), `list at ${at}`);
  assert.deepEqual(
    await changeLines(engine, at),
    model.lines.filter(([revision]) => revision > at).map(([, line]) => line),
  );
  const { problems } = await engine.verify();
  assert.deepEqual(problems, []);
  const y = model.list(model.revision).filter((line) => line.includes('=y@'));
  assert.deepEqual(
    (await engine.lookup({ index: 'text', value: 'y' })).map(path),
    y.map((line) => line.split('=')[0]),
  );
  const walked = await engine.walk({}, { limit: 1000 });
  const inWindow = (revision: number): boolean => revision > model.compacted;
  assert.deepEqual(
    walked.entries
      .filter((entry) => inWindow(entry.revision))
      .map((entry) => `${path(entry.key)}@${entry.revision}`)
      .toSorted(),
    model.versions
      .filter((version) => inWindow(version.revision))
      .map((version) => `${version.path}@${version.revision}`)
      .toSorted(),
  );
  assert.equal((await engine.stats()).objects, model.list(model.revision).length);
}

/** Runs random histories on a fresh engine and on the model; they must agree at every step. */
export async function agreesWithModel(open: () => Promise<EngineSubject> | EngineSubject, numRuns: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 14 }), async (steps) => {
      const { source, deps, dispose } = await open();
      let engine = await source.open({ deps });
      const model = new Model();
      try {
        for (const each of steps) {
          if (each.type === 'commit') {
            const revisions: (number | undefined)[] = [];
            const planned = each.batch.map((one, index) => {
              const made = model.request(one, index, revisions);
              revisions.push(made.ok ? model.revision : undefined);
              return made;
            });
            const results = await engine.commit(planned.map((one) => one.request));
            assert.deepEqual(
              results.map((result) => (result.ok ? result.revision : undefined)),
              revisions,
            );
          } else if (each.type === 'compact') {
            const to = Math.max(0, model.revision - each.back);
            await engine.compact(to, {
              retain: (_key, versions) => new Set(versions.slice(0, each.keep).map((version) => version.revision)),
            });
            model.compacted = Math.max(model.compacted, to);
          } else if (each.type === 'check') {
            await check(engine, model, each.back, each.limit);
          } else {
            each.type satisfies 'reopen';
            await engine.close();
            engine = await source.open({ deps });
          }
        }
        await check(engine, model, 5, 4);
      } finally {
        await engine.close();
        await dispose?.();
      }
    }),
    { numRuns },
  );
}
