/** Chance, names, key material and logs in virtual time: all of it from a seed. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createCollectingLogger, seededRandom, virtualDeps, type LogLine } from '../../src/testing/index.js';

describe('seededRandom', () => {
  it('gives the same numbers for the same seed and stream, others for others (P)', () => {
    const draw = (seed: number, stream: string): number[] => Array.from({ length: 8 }, seededRandom(seed, stream).uint32);
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.maxSafeInteger(), fc.string(), fc.string(), (seed, other, stream, another) => {
        expect(draw(seed, stream)).toEqual(draw(seed, stream));
        if (other !== seed) expect(draw(other, stream)).not.toEqual(draw(seed, stream));
        if (another !== stream) expect(draw(seed, another)).not.toEqual(draw(seed, stream));
      }),
    );
  });

  it('keeps to the same numbers from release to release', () => {
    const random = seededRandom(42, 'order');
    expect([random.uint32(), random.uint32(), random.next(), random.below(1_000), [...random.bytes(5)]]).toMatchInlineSnapshot(`
      [
        830028864,
        1252180644,
        0.9339601312044725,
        643,
        [
          109,
          208,
          83,
          102,
          250,
        ],
      ]
    `);
  });

  it('spreads evenly over [0, 1) and over a range', () => {
    for (const seed of [0, 1, 2, -1, 2 ** 40]) {
      const random = seededRandom(seed);
      const tenths = Array.from({ length: 10 }, () => 0);
      for (let i = 0; i < 20_000; i++) {
        const value = random.next();
        if (!(value >= 0 && value < 1)) throw new Error(`out of range: ${value}`);
        const tenth = Math.floor(value * 10);
        tenths[tenth] = (tenths[tenth] ?? 0) + 1;
      }
      // 2,000 each, give or take six standard deviations.
      for (const count of tenths) expect(Math.abs(count - 2_000)).toBeLessThan(255);
      expect(new Set(Array.from({ length: 300 }, () => random.below(7)))).toEqual(new Set([0, 1, 2, 3, 4, 5, 6]));
    }
  });

  it('fills bytes of any length with all values', () => {
    const random = seededRandom(1);
    expect(random.bytes(0).length).toBe(0);
    expect(random.bytes(7).length).toBe(7);
    expect(new Set(random.bytes(10_000)).size).toBe(256);
  });
});

describe('virtualDeps chance', () => {
  it('does not shift one stream when more is drawn from another', async () => {
    const quiet = virtualDeps({ seed: 9 });
    const busy = virtualDeps({ seed: 9 });
    for (let i = 0; i < 100; i++) {
      busy.random.next();
      busy.entropy.bytes(3);
      busy.ids.suffix(5);
    }
    const nodeOf = (uuid: string): string => uuid.slice(19);
    expect(nodeOf(busy.ids.uuid())).toBe(nodeOf(quiet.ids.uuid()));
    for (let i = 0; i < 7; i++) busy.ids.uuid();
    const order = async (deps: ReturnType<typeof virtualDeps>): Promise<string> => {
      let seen = '';
      for (const name of 'abcdefgh') deps.scheduler.defer(() => (seen += name));
      await deps.flush();
      return seen;
    };
    expect(await order(busy)).toBe(await order(quiet));
    for (let i = 0; i < 100; i++) quiet.random.next();
    expect(busy.random.next()).toBe(quiet.random.next());
  });

  it('gives UUIDs in the shape of RFC 9562 that never repeat and rise, also when the clock steps back', async () => {
    const deps = virtualDeps();
    const ids: string[] = [];
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 5_000; i++) ids.push(deps.ids.uuid());
      if (round === 1) deps.jumpWallClock('-1h');
      else await deps.advance(5);
    }
    const shape = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
    expect(ids.filter((id) => !shape.test(id))).toEqual([]);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toEqual(ids.toSorted());
    expect(virtualDeps({ seed: 2 }).ids.uuid()).not.toBe(virtualDeps({ seed: 3 }).ids.uuid());
  });

  it("makes suffixes of Kubernetes' alphabet", () => {
    const { ids } = virtualDeps();
    const drawn = Array.from({ length: 500 }, () => ids.suffix(5));
    for (const suffix of drawn) expect(suffix).toMatch(/^[bcdfghjklmnpqrstvwxz2456789]{5}$/);
    expect(new Set(drawn.join('')).size).toBe(27);
    expect(ids.suffix(0)).toBe('');
  });

  it('gives key material from the seed', () => {
    expect(virtualDeps({ seed: 5 }).entropy.bytes(32)).toEqual(virtualDeps({ seed: 5 }).entropy.bytes(32));
    expect(virtualDeps({ seed: 5 }).entropy.bytes(32)).not.toEqual(virtualDeps({ seed: 6 }).entropy.bytes(32));
    const { entropy } = virtualDeps();
    expect(entropy.bytes(12)).not.toEqual(entropy.bytes(12));
  });
});

describe('virtualDeps logs', () => {
  it('collects each line with its virtual time, fields and the bindings of its parents', async () => {
    const deps = virtualDeps();
    const log = deps.logger.child({ controller: 'scaling' }).child({ key: 'prod/web' });
    const fields = { attempt: 1 };
    log.warn(fields, 'retrying');
    fields.attempt = 2;
    await deps.advance('1s');
    deps.logger.error({ code: 1 }, 'failed');
    expect(deps.logs).toEqual([
      { level: 'warn', time: Date.UTC(2026, 0, 1), message: 'retrying', fields: { controller: 'scaling', key: 'prod/web', attempt: 1 } },
      { level: 'error', time: Date.UTC(2026, 0, 1) + 1_000, message: 'failed', fields: { code: 1 } },
    ]);
  });

  it('passes each line on to a logger of the caller, at its level', () => {
    const mine = createCollectingLogger({ now: () => 0 });
    const deps = virtualDeps({ logger: mine.logger });
    for (const level of ['trace', 'debug', 'info', 'warn', 'error'] as const) deps.logger.child({ a: 1 })[level]({ b: 2 }, level);
    const simple = (lines: readonly LogLine[]): unknown => lines.map(({ level, message, fields }) => ({ level, message, fields }));
    expect(simple(mine.lines())).toEqual(simple(deps.logs));
    expect(deps.logs.map(({ level }) => level)).toEqual(['trace', 'debug', 'info', 'warn', 'error']);
    expect(mine.lines()[0]?.fields).toEqual({ a: 1, b: 2 });
  });

  it('keeps the newest lines only', () => {
    const deps = virtualDeps({ maxLogs: 10 });
    for (let i = 0; i < 1_005; i++) deps.logger.info({ i }, 'line');
    expect(deps.logs.map(({ fields }) => fields['i'])).toEqual([995, 996, 997, 998, 999, 1_000, 1_001, 1_002, 1_003, 1_004]);
    const none = virtualDeps({ maxLogs: 0 });
    none.logger.info({}, 'line');
    expect(none.logs).toEqual([]);
  });
});
