/** simulate, crashMatrix, checkContract: what they refuse, what they tell, how a seed is replayed. */
import { describe, expect, it, vi } from 'vitest';
import { defineController, type ControllerDefinition } from '../../src/controller/index.js';
import {
  checkContract,
  type ContractError,
  crashMatrix,
  CrashMatrixError,
  defineScenario,
  describeFault,
  simulate,
  type SimulationError,
  type Scenario,
} from '../../src/testing/index.js';
import { broken, correct, scenario as accept } from './planted/remembers.js';
import { Part, Widget } from './planted/types.js';

const failing: Scenario = { ...accept, controllers: () => [broken()] };
const sound: Scenario = { ...accept, controllers: () => [correct()] };
const thrown = async (work: Promise<unknown>): Promise<Error> =>
  work.then(
    () => expect.unreachable('it should have failed'),
    (error: unknown) => error as Error,
  );

describe('simulate', () => {
  it('finds the same failure with the same words each time', async () => {
    const first = (await thrown(simulate(failing))) as SimulationError;
    const second = (await thrown(simulate(failing))) as SimulationError;
    expect(second.message).toBe(first.message);
    expect(first.faults.length).toBeGreaterThan(0);
    expect(first.message).toContain(describeFault(first.faults[0] ?? expect.unreachable('no fault')));
    expect(first.message).toContain(`replay: ${first.replay}`);
  });

  it('runs one seed, and the faults that matter, when the environment asks for it', async () => {
    const found = (await thrown(simulate(failing))) as SimulationError;
    const value = /^RUNE_SIMULATE='([^']*)'/.exec(found.replay)?.[1] ?? '';
    vi.stubEnv('RUNE_SIMULATE', value);
    const again = (await thrown(simulate(failing))) as SimulationError;
    expect([again.seed, again.faults]).toEqual([found.seed, found.faults]);
    expect((await simulate(sound)).seeds).toBe(1);
    vi.stubEnv('RUNE_SIMULATE', 'another=3');
    expect((await simulate(sound, { seeds: 4 })).seeds).toBe(4);
    vi.stubEnv('RUNE_SIMULATE', 'accept=1:99');
    await expect(simulate(sound)).rejects.toThrow(/no number 99/);
    vi.stubEnv('RUNE_SIMULATE', 'accept');
    await expect(simulate(sound)).rejects.toThrow(/RUNE_SIMULATE must be/);
  });

  it('can be held to some faults, or to none', async () => {
    const { struck } = await simulate(sound, { seeds: 30, faults: ['crash', 'cut'] });
    expect(Object.keys(struck).sort()).toEqual(['crash', 'cut']);
    expect((await simulate(failing, { seeds: 30, faults: [] })).struck).toEqual({});
  });

  it('holds what must hold after each commit, whatever comes after', async () => {
    const twice: Scenario = {
      ...sound,
      always: ({ events }) => {
        if (events.some(({ resourceType, name }) => resourceType === Part.type && name === 'b')) throw new Error('no part b');
      },
    };
    await expect(simulate(twice, { seeds: 3 })).rejects.toThrow(/after revision \d+: no part b[^]*it takes no fault/);
  });

  it('reports a livelock and a step that throws', async () => {
    const restless = (): ControllerDefinition =>
      defineController({
        name: 'restless',
        for: Widget,
        async reconcile({ object, repo }) {
          await repo(Widget).patch(object, { spec: { size: object.spec.size + 1 } });
        },
      }) as ControllerDefinition;
    await expect(simulate({ ...accept, controllers: () => [restless()] }, { seeds: 1 })).rejects.toThrow(
      /livelock: controller restless keeps running default\/[ab] by its own writes, which keep changing spec\.size/,
    );
    const clumsy: Scenario = {
      ...sound,
      steps: () => {
        throw new Error('slipped');
      },
    };
    await expect(simulate(clumsy, { seeds: 1 })).rejects.toThrow(/slipped/);
  });

  it('refuses what it cannot run', async () => {
    await expect(simulate(accept)).rejects.toThrow(/has no controllers/);
    await expect(simulate(sound, { seeds: 0 })).rejects.toThrow(/at least 1/);
    expect(() => defineScenario({ name: "it's", check: () => {} })).toThrow(/needs a name/);
    expect(() => defineScenario({ name: 'x' } as never)).toThrow(/needs a check/);
  });
});

describe('crashMatrix', () => {
  it('names the commit that a crash must not follow', async () => {
    const error = (await thrown(crashMatrix(failing))) as CrashMatrixError;
    expect(error).toBeInstanceOf(CrashMatrixError);
    expect(error.point).toBeGreaterThan(0);
    expect(error.message).toMatch(
      /does not survive a crash after commit \d+ \(rev \d+ UPDATED widget .*\) of \d+: it does not converge[^]*likely cause: without the crash it converges/,
    );
  });

  it('spreads a few points over many, and says when it fails without a crash', async () => {
    expect(await crashMatrix(sound, { points: 2, downtimeMs: 5_000 })).toMatchObject({ scenario: 'accept', points: 2 });
    const hopeless: Scenario = {
      ...sound,
      check: () => {
        throw new Error('never');
      },
    };
    expect(await thrown(crashMatrix(hopeless))).toMatchObject({
      point: 0,
      message: expect.stringContaining('fails without a crash') as string,
    });
  });
});

describe('checkContract', () => {
  it('finds state that is kept in a module, over two runs', async () => {
    const seen = new Set<string>();
    const once = defineController({
      name: 'once',
      for: Widget,
      owns: [Part],
      async reconcile({ object, ensure }) {
        const { name } = object.metadata;
        if (seen.has(name)) return;
        seen.add(name);
        await ensure(Part, { metadata: { name } });
      },
    }) as ControllerDefinition;
    const scenario = defineScenario<unknown>({
      name: 'once',
      objects: [[Widget, { name: 'a' }]],
      async check(rig) {
        if ((await rig.repo(Part).list()).items.length !== 1) throw new Error('there is no part');
      },
    });
    const error = (await thrown(checkContract(once, scenario))) as ContractError;
    const { checks } = error.report;
    expect(checks.find(({ name }) => name === 'repeatable')).toMatchObject({
      ok: false,
      message: expect.stringContaining('keeps state outside the store') as string,
    });
    expect(error.message).toContain('controller once breaks its contract in "once"');
  });

  it('leaves checks out that are skipped, and stops where nothing can be said', async () => {
    const report = await checkContract<unknown>(correct, accept, { skip: ['order', 'crash', 'faults'] });
    expect(report.checks.map(({ name }) => name)).toEqual(['converges', 'repeatable', 'idempotent', 'restart']);
    const hopeless: Scenario = {
      ...accept,
      check: () => {
        throw new Error('never');
      },
    };
    const error = (await thrown(checkContract<unknown>(correct, hopeless))) as ContractError;
    expect(error.report.checks).toHaveLength(1);
  });
});
