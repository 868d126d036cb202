/** The correct twins of the planted bugs pass a thousand seeds each. */
import { describe, expect, it } from 'vitest';
import { simulate, type Scenario } from '../../../src/testing/index.js';
import * as eventOrder from './event-order.js';
import { broken, correct, scenario as rentAndGiveBack } from './finalizer-first.js';
import * as forgetsToRequeue from './forgets-to-requeue.js';
import type { Planted } from './planted.js';
import * as remembers from './remembers.js';
import * as writesEachTime from './writes-each-time.js';

const finalizerFirst: Planted = { broken, correct, scenario: rentAndGiveBack };
const twins: readonly Planted[] = [forgetsToRequeue, writesEachTime, finalizerFirst, remembers, eventOrder];

describe('the correct twin', () => {
  it.each(twins)('of "$scenario.name" passes 1,000 seeds', { timeout: 240_000 }, async ({ correct, scenario }) => {
    const all: Scenario = { ...scenario, controllers: (world: unknown) => [correct(world as never)] };
    const report = await simulate(all, { seeds: 1_000 });
    expect(report.seeds).toBe(1_000);
    // Every sort of fault has struck, or nothing was tried.
    expect(Object.keys(report.struck).sort()).toEqual(['conflict', 'crash', 'cut', 'expire', 'fail', 'order', 'slowWatch', 'slowWrites']);
  });
});
