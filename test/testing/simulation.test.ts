/** simulate, crashMatrix, checkContract: what they refuse, what they tell, how a seed is replayed. */
import { describe, expect, it, vi } from 'vitest';
import { defineController, type ControllerDefinition } from '../../src/controller/index.js';
import type { Duration } from '../../src/schemas/index.js';
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
import { simulateFromHere } from './planted/helper.js';
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

  it('replays a failure that takes no fault without one', async () => {
    const hopeless: Scenario = {
      ...sound,
      check: () => {
        throw new Error('never');
      },
    };
    const found = (await thrown(simulate(hopeless, { seeds: 3 }))) as SimulationError;
    expect([found.seed, found.faults]).toEqual([1, []]);
    vi.stubEnv('RUNE_SIMULATE', /^RUNE_SIMULATE='([^']*)'/.exec(found.replay)?.[1] ?? '');
    const again = (await thrown(simulate(hopeless, { seeds: 3 }))) as SimulationError;
    expect([again.faults, again.message]).toEqual([[], found.message]);
  });

  it('names the test file in the command, whichever helper calls it', async () => {
    const found = (await thrown(simulateFromHere(failing))) as SimulationError;
    expect(found.replay).toMatch(/ npx vitest run test\/testing\/simulation\.test\.ts$/);
  });

  it('says what struck although a step threw', async () => {
    const impatient: Scenario = {
      ...sound,
      async steps(rig) {
        await rig.settle();
        if (rig.runs(undefined, undefined).some(({ outcome }) => outcome === 'crashed')) throw new Error('it crashed');
      },
    };
    const found = (await thrown(simulate(impatient, { seeds: 100, faults: ['crash'] }))) as SimulationError;
    expect(found.faults).toHaveLength(1);
    expect(found.message).toMatch(/it takes 1 of \d faults:\n {2}- crash after commit \d+.* \(rev \d+ .*\)\n/);
    expect(found.message).not.toContain('did not strike');
  });

  it('waits in a step for a process that is down', async () => {
    const asking: Scenario = {
      ...sound,
      async steps(rig) {
        await rig.settle();
        rig.explain('accepting', { namespace: 'default', name: 'a' });
      },
    };
    expect((await simulate(asking, { seeds: 40, faults: ['crash'] })).struck.crash).toBeGreaterThan(0);
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
    await expect(simulate(sound, { faults: ['crsh' as never] })).rejects.toThrow(/no fault crsh: take some of crash, fail/);
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

  /** It waits before it begins, and remembers in memory that it has. */
  const late = (wait: Duration): ControllerDefinition => {
    const begun = new Set<string>();
    return defineController({
      name: 'late',
      for: Widget,
      reconcile({ object, status }) {
        const { name } = object.metadata;
        const phase = object.status?.phase;
        if (phase === undefined) {
          status({ phase: 'waiting' });
          return { requeueAfter: wait };
        }
        if (phase === 'waiting') {
          begun.add(name);
          status({ phase: 'begun' });
          return { requeueAfter: '1s' };
        }
        if (phase === 'begun' && begun.has(name)) status({ phase: 'done' });
        return undefined;
      },
    }) as ControllerDefinition;
  };
  const done: Pick<Scenario, 'objects' | 'check'> = {
    objects: [[Widget, { name: 'a' }]],
    async check(rig) {
      const { status } = await rig.repo(Widget).get({ namespace: 'default', name: 'a' });
      if (status?.phase !== 'done') throw new Error(`it is ${status?.phase ?? 'new'}`);
    },
  };

  it.each(['10s', '65s', '5m'] as const)('crashes a controller that waits %s before it begins, after that too', async (wait) => {
    const scenario: Scenario = { ...done, name: 'late', controllers: () => [late(wait)] };
    expect(await thrown(crashMatrix(scenario))).toMatchObject({ point: 2, message: expect.stringContaining('it is begun') as string });
    await expect(simulate(scenario, { seeds: 100, faults: ['crash'] })).rejects.toThrow(/without the crash it converges/);
    await expect(checkContract<unknown>(() => late(wait), { ...done, name: 'late' })).rejects.toThrow(/- crash: it converges from a crash/);
  });

  it('counts a point only when its crash came about', async () => {
    const lives: number[] = [];
    const slow = (): ControllerDefinition =>
      defineController({
        name: 'slow',
        for: Widget,
        reconcile({ object, status }) {
          const parts = (object.status?.parts ?? 0) + 1;
          if (parts > 8) return undefined;
          status({ parts, phase: parts === 8 ? 'done' : 'growing' });
          return { requeueAfter: '1m' };
        },
      }) as ControllerDefinition;
    const scenario: Scenario<number> = {
      ...done,
      name: 'slow',
      world: () => lives.push(0) - 1,
      controllers: (world) => {
        lives[world] = (lives[world] ?? 0) + 1;
        return [slow()];
      },
    };
    const report = await crashMatrix(scenario);
    expect(report).toMatchObject({ commits: 8, points: 8, missed: [], warnings: [] });
    const [undisturbed = 0, ...crashed] = lives;
    expect(crashed.map((each) => each - undisturbed)).toEqual(Array.from({ length: 8 }, () => 1));
    let runs = 0;
    const moody: Scenario = {
      ...done,
      name: 'moody',
      controllers: () => [slow()],
      objects: () => [[Widget, { name: 'a', ...((runs += 1) > 1 ? { status: { parts: 6 } } : {}) }]],
    };
    expect(await crashMatrix(moody)).toMatchObject({ commits: 8, points: 2, missed: [3, 4, 5, 6, 7, 8] });
  });

  it('says that it cannot take from ready controllers what they remember', async () => {
    const emitted = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const ready = late('1s');
    const words = /controller late is the same object in every life of the process.*give a function that makes controllers anew/;
    const matrix = await crashMatrix({ ...done, name: 'ready', controllers: [ready] });
    expect(matrix.warnings).toEqual([expect.stringMatching(words)]);
    expect((await crashMatrix({ ...done, name: 'ready', controllers: () => [ready] })).warnings).toHaveLength(1);
    expect((await simulate({ ...done, name: 'ready', controllers: [ready] }, { seeds: 3 })).warnings).toHaveLength(1);
    expect((await simulate({ ...done, name: 'ready', controllers: [ready] }, { seeds: 3, faults: ['cut'] })).warnings).toEqual([]);
    expect((await checkContract<unknown>(ready, { ...done, name: 'ready' }, { skip: ['idempotent', 'restart'] })).warnings).toHaveLength(1);
    expect(emitted.mock.calls.map(([text]) => text)).toEqual(Array.from({ length: 4 }, () => expect.stringMatching(words)));
    emitted.mockRestore();
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

  it('finds an event that each run records anew', async () => {
    const chatty = (): ControllerDefinition =>
      defineController({
        name: 'chatty',
        for: Widget,
        reconcile({ status, event }) {
          status({ phase: 'done' });
          event('Normal', 'Synced', 'done');
        },
      }) as ControllerDefinition;
    const scenario: Scenario = { name: 'chatty', objects: [[Widget, { name: 'a' }]], check: () => {} };
    await expect(checkContract<unknown>(chatty, scenario)).rejects.toThrow(
      /- idempotent: .* a further run of a converged object writes: controller\/chatty (created|changed) event/,
    );
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
