/** Planted bugs: contract checks and simulation find each within 100 seeds, and say what is wrong. */
import { describe, expect, it } from 'vitest';
import type { ControllerDefinition } from '../../../src/controller/index.js';
import {
  checkContract,
  ContractError,
  crashMatrix,
  simulate,
  SimulationError,
  type ContractCheckName,
  type Scenario,
} from '../../../src/testing/index.js';
import * as eventOrder from './event-order.js';
import { broken, correct, scenario as rentAndGiveBack } from './finalizer-first.js';
import * as forgetsToRequeue from './forgets-to-requeue.js';
import * as remembers from './remembers.js';
import type { Planted } from './planted.js';
import * as writesEachTime from './writes-each-time.js';

const finalizerFirst: Planted = { broken, correct, scenario: rentAndGiveBack };

interface Bug {
  readonly what: string;
  readonly planted: Planted;
  /** The contract check that finds it. */
  readonly check: ContractCheckName;
  readonly says: RegExp;
}

const bugs: readonly Bug[] = [
  {
    what: 'forgets to requeue',
    planted: forgetsToRequeue,
    check: 'converges',
    says: /running warming default\/a.* once more makes it converge.*return requeueAfter/s,
  },
  {
    what: 'writes its status each time',
    planted: writesEachTime,
    check: 'idempotent',
    says: /controller\/keeping changed widget default\/[ab] \(status\.checkedAt\)/,
  },
  {
    what: 'removes the finalizer before cleaning up',
    planted: finalizerFirst,
    check: 'crash',
    says: /the finalizer was removed before the cleanup was complete/,
  },
  { what: 'keeps state in memory over a crash', planted: remembers, check: 'crash', says: /state (is )?kept in memory/ },
  {
    what: 'depends on the order of events',
    planted: eventOrder,
    check: 'order',
    says: /once more makes it converge.*name what it reads in owns or watches|depends on the order in which events arrive/,
  },
];

type Subject = (world: unknown) => ControllerDefinition;
const caught = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

describe.each(bugs)('a controller that $what', ({ planted, check, says }) => {
  const { broken, correct, scenario } = planted;
  const withControllers = (make: Planted['broken']): Scenario => ({ ...scenario, controllers: (world: unknown) => [make(world as never)] });

  it('breaks its contract, and is told why', async () => {
    const error = await caught(checkContract<unknown>(broken as Subject, scenario));
    expect(error).toBeInstanceOf(ContractError);
    const failed = (error as ContractError).report.checks.filter(({ ok }) => !ok).map(({ name }) => name);
    expect(failed).toContain(check);
    expect((error as ContractError).message).toMatch(says);
  });

  it('is found by simulation within 100 seeds, with the command that replays it', async () => {
    const error = await caught(simulate(withControllers(broken), { seeds: 100 }));
    expect(error).toBeInstanceOf(SimulationError);
    const { message, seed, replay } = error as SimulationError;
    expect(message).toMatch(says);
    expect(seed).toBeLessThanOrEqual(100);
    expect(replay).toMatch(
      new RegExp(`^RUNE_SIMULATE='${scenario.name}=${seed}(:[\\d,]*)?' npx vitest run test/testing/planted/found\\.test\\.ts$`),
    );
  });

  it('has a correct twin that keeps it', async () => {
    const report = await checkContract<unknown>(correct as Subject, scenario, { orders: 8, points: 12 });
    expect(report.checks.map(({ name, ok }) => `${name} ${ok}`)).toEqual(
      ['converges', 'repeatable', 'idempotent', 'restart', 'order', 'crash', 'faults'].map((name) => `${name} true`),
    );
    expect((await crashMatrix(withControllers(correct))).points).toBeGreaterThan(0);
  });
});
