import { describe, expect, it } from 'vitest';
import { memoryEngine } from '../../../src/store/engines/index.js';
import { systemDeps } from '../../../src/store/system-deps.js';
import { decode, k, put, rejects, request, show, write } from '../../../src/testing/conformance/engine-kit.js';
import { engineConformance } from '../../../src/testing/conformance/engine-suite.js';
import { virtualDeps } from '../../../src/testing/index.js';
import { agreesWithModel } from './model.js';

const deps = systemDeps();

describe('memoryEngine', () => {
  const open = () => ({ source: memoryEngine(), deps });
  engineConformance({ describe, it, open, skipped: (name) => expect.fail(name) });

  it('agrees with a naive model on random histories', async () => {
    await expect(agreesWithModel(open, 150)).resolves.toBeUndefined();
  });

  it('loses in a crash what is pending, and keeps what was durable', async () => {
    const source = memoryEngine();
    const engine = await source.open({ deps });
    await put(engine, 't/a/x', 'durable');
    const pending = engine.commit([request(write('t/a/x', 'pending'))]);
    const meta = engine.meta.set('m', 'pending');
    source.crash();
    expect(await rejects(pending, 'ServiceUnavailable')).toMatchObject({ inDoubt: true });
    await rejects(meta, 'ServiceUnavailable');
    await rejects(engine.get(k('t/a/x')), 'ServiceUnavailable');
    const reopened = await source.open({ deps });
    await deps.scheduler.turn();
    expect(show((await reopened.range({})).entries)).toEqual(['t/a/x=durable@1']);
    expect(await reopened.meta.get('m')).toBeUndefined();
    expect(await put(reopened, 't/a/x', 'next')).toBe(2);
    await engine.close();
    expect(decode((await reopened.get(k('t/a/x')))?.value)).toBe('next');
  });

  it('fails the next commit as told, with or without having applied it, and stops until it is opened again', async () => {
    for (const applied of [false, true]) {
      const source = memoryEngine();
      const engine = await source.open({ deps });
      source.failNextCommit(new Error('the disk is on fire'), { applied });
      await expect(engine.commit([request(write('t/a/x', '1'))])).rejects.toThrow('the disk is on fire');
      await rejects(engine.get(k('t/a/x')), 'ServiceUnavailable');
      await rejects(engine.commit([request(write('t/a/y', '2'))]), 'ServiceUnavailable');
      await engine.close();
      const reopened = await source.open({ deps });
      expect(show((await reopened.range({})).entries)).toEqual(applied ? ['t/a/x=1@1'] : []);
      expect(await put(reopened, 't/a/y', '2')).toBe(applied ? 2 : 1);
    }
  });

  it('is opened once at a time', async () => {
    const source = memoryEngine();
    const engine = await source.open({ deps });
    await expect(source.open({ deps })).rejects.toMatchObject({ reason: 'InternalError' });
    await engine.close();
    await (await source.open({ deps })).close();
  });

  it('keeps a commit pending for its latency in virtual time', async () => {
    const virtual = virtualDeps({ seed: 1 });
    const source = memoryEngine({ latencyMs: 30 });
    const engine = await source.open({ deps: virtual });
    let resolvedAt: number | undefined;
    const began = virtual.clock.monotonic();
    const commit = engine.commit([request(write('t/a/x', '1'))]).then(() => (resolvedAt = virtual.clock.monotonic()));
    await virtual.advance(20);
    expect([resolvedAt, engine.revision().current]).toEqual([undefined, 0]);
    await virtual.advance(20);
    await commit;
    expect([resolvedAt, engine.revision().current]).toEqual([began + 30, 1]);
  });

  it('hands no decoded objects back when it is told not to', async () => {
    const engine = await memoryEngine({ decoded: false }).open({ deps });
    expect(engine.capabilities.decoded).toBe(false);
    await put(engine, 't/a/x', '1', { decoded: { a: 1 } });
    expect(await engine.get(k('t/a/x'))).not.toHaveProperty('decoded');
  });

  it('creates among 100,000 keys about as fast as among few', async () => {
    const engine = await memoryEngine().open({ deps });
    const shuffled = (index: number): string => String((index * 7919) % 1_000_003).padStart(7, '0');
    let next = 0;
    /** CPU time for a create: others use this machine too. */
    const create = async (count: number): Promise<number> => {
      const before = process.cpuUsage();
      for (const end = next + count; next < end; next += 1000) {
        await engine.commit(Array.from({ length: 1000 }, (_, index) => request(write(`t/a/o${shuffled(next + index)}`, 'v'))));
      }
      return process.cpuUsage(before).user / count;
    };
    await create(5000);
    const few = Math.min(await create(5000), await create(5000));
    await create(85_000);
    const many = Math.min(await create(5000), await create(5000));
    expect(many).toBeLessThan(few * 6);
    expect((await engine.range({ type: 't' })).entries).toHaveLength(110_000);
  });
});
