/** docs/queue.md says what the code does: its tables are written from it (`RUNE_WRITE_DOCS=1` writes them anew). */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { queueDefaults } from '../../../src/controller/queue/index.js';
import { events, states, transitions } from '../../../src/controller/queue/state-table.js';

const path = new URL('../../../docs/queue.md', import.meta.url);

const meanings: Record<keyof typeof queueDefaults, string> = {
  baseDelay: 'first backoff of a failing key',
  maxDelay: 'longest backoff of a failing key',
  jitter: 'share of a backoff that chance may add',
  ageing: 'wait for which a key counts as one band higher',
  minInterval: 'shortest time between two starts of one key; 0: none',
  priority: 'priority of an add that names none',
  causesKept: 'causes kept for one run',
  concurrency: 'worker slots',
  sliceMs: 'longest work before the event loop gets its turn',
  sliceItems: 'most keys before the event loop gets its turn',
};

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

const generated: Record<string, string> = {
  defaults: table(
    ['Default', 'Value', 'What it is'],
    (Object.keys(meanings) as (keyof typeof meanings)[]).map((name) => [`\`${name}\``, `${queueDefaults[name]}`, meanings[name]]),
  ),
  transitions: table(
    ['', ...Object.keys(events)],
    (Object.keys(states) as (keyof typeof states)[]).map((from) => [
      from,
      ...(Object.keys(events) as (keyof typeof events)[]).map((event) => transitions[from][event] ?? ''),
    ]),
  ),
};

describe('docs/queue.md', () => {
  for (const [name, text] of Object.entries(generated)) {
    it(`has the ${name} of the code`, () => {
      const between = new RegExp(`(<!-- ${name} -->\\n)[^]*?(\\n?<!-- /${name} -->)`);
      if (process.env['RUNE_WRITE_DOCS'] === '1')
        writeFileSync(
          path,
          readFileSync(path, 'utf8').replace(between, (_, open: string) => `${open}${text}\n<!-- /${name} -->`),
        );
      expect(between.exec(readFileSync(path, 'utf8'))?.[0]).toBe(`<!-- ${name} -->\n${text}\n<!-- /${name} -->`);
    });
  }

  it('names every default', () => {
    expect(Object.keys(meanings)).toEqual(Object.keys(queueDefaults));
  });
});
