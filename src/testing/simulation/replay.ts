/**
 * The one-line command that runs one seed again, and the variable it sets.
 *
 * Invariant: what the command asks for is read by the same code that prints it.
 */
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InvalidError } from '../../schemas/index.js';

/** The variable: `<scenario>=<seed>` or `<scenario>=<seed>:<fault>,<fault>`. */
export const REPLAY_VARIABLE = 'RUNE_SIMULATE';

/** What is to be run again: a seed, and which of its faults (all without). */
export interface Replay {
  readonly seed: number;
  readonly faults: readonly number[] | undefined;
}

/** What the environment asks for of a scenario; undefined: nothing. @throws {InvalidError} when it cannot be read */
export function replayOf(scenario: string, environment: Readonly<Record<string, string | undefined>> = process.env): Replay | undefined {
  const text = environment[REPLAY_VARIABLE];
  if (text === undefined || text === '') return undefined;
  const parts = /^(.*)=(-?\d+)(?::([\d,]*))?$/.exec(text);
  if (parts === null)
    throw new InvalidError(
      `${REPLAY_VARIABLE} must be '<scenario>=<seed>' or '<scenario>=<seed>:<fault>,<fault>', not ${JSON.stringify(text)}`,
    );
  if (parts[1] !== scenario) return undefined;
  const faults = parts[3];
  return {
    seed: Number(parts[2]),
    faults:
      faults === undefined
        ? undefined
        : faults
            .split(',')
            .filter((each) => each !== '')
            .map(Number),
  };
}

/** The command that runs a seed of a scenario again. `file`: where it is called from. */
export function replayCommand(scenario: string, replay: Replay, file: string | undefined): string {
  const value = `${scenario}=${replay.seed}${replay.faults === undefined ? '' : `:${replay.faults.join(',')}`}`;
  const path = file === undefined ? '<the test file>' : relative(process.cwd(), file);
  return `${REPLAY_VARIABLE}='${value}' ${runner()} ${path}`;
}

function runner(): string {
  if (process.env['VITEST'] !== undefined) return 'npx vitest run';
  if (process.env['JEST_WORKER_ID'] !== undefined) return 'npx jest';
  const flags = process.execArgv.filter((flag) => !flag.startsWith('--test') && !flag.startsWith('--inspect'));
  return ['node', ...flags, ...(process.env['NODE_TEST_CONTEXT'] === undefined ? [] : ['--test'])].join(' ');
}

/** More frames than any chain of helpers has. */
const MOST_FRAMES = 200;

/** What runners leave in the global scope; either may not be there at all. */
declare const __vitest_worker__: { readonly filepath?: string } | undefined;
declare const expect: { readonly getState?: () => { readonly testPath?: string } } | undefined;

/**
 * The file that the runner was given, however many helpers lie between it and here: vitest and jest say so themselves, node:test
 * runs each in a process of its own; elsewhere it is the outermost one on the stack that is neither Node's nor a package's.
 */
export function testFile(): string | undefined {
  const told =
    (typeof __vitest_worker__ === 'undefined' ? undefined : __vitest_worker__.filepath) ??
    (typeof expect === 'undefined' ? undefined : expect.getState?.().testPath);
  if (told !== undefined) return told;
  return process.env['NODE_TEST_CONTEXT'] === undefined ? outermostFile() : process.argv[1];
}

function outermostFile(): string | undefined {
  const here = fileURLToPath(new URL('..', import.meta.url));
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = MOST_FRAMES;
  const { stack } = new Error('here');
  Error.stackTraceLimit = limit;
  return stack
    ?.split('\n')
    .slice(1)
    .map((line) => /(?:^|[\s(])((?:file:\/\/|\/|[A-Z]:\\)[^()]*?)(?::\d+){1,2}\)?$/.exec(line.trim())?.[1])
    .map((place) => (place?.startsWith('file://') === true ? fileURLToPath(place) : place))
    .findLast((file) => file !== undefined && !file.startsWith(here) && !file.includes('node_modules'));
}
