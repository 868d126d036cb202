/** `npm run bench` and `npm run reliability`: what they list, what they refuse. */
import { describe, expect, it } from 'vitest';

import { node, root } from '../support/built-package.js';

const tsx = (script: string, ...args: string[]) => node(['--import', 'tsx', script, ...args], { cwd: root });

describe('npm run bench', () => {
  it('lists what there is, without itself', async () => {
    const outcome = await tsx('bench/run.ts');
    expect(outcome.code, outcome.output).toBe(0);
    expect(outcome.stdout).toMatch(/^npm run bench -- NAME\.\.\./);
    expect(outcome.stdout).not.toMatch(/\brun$/m);
  });

  it('refuses a name that does not exist, before it runs any', async () => {
    const outcome = await tsx('bench/run.ts', 'no-such-bench');
    expect(outcome.output).toContain('no bench is called no-such-bench');
    expect(outcome.code).toBe(1);
  });
});

describe('npm run reliability', () => {
  it('lists what there is and refuses what there is not', async () => {
    expect((await tsx('scripts/reliability.ts')).code).toBe(0);
    const outcome = await tsx('scripts/reliability.ts', 'no-such-test', '--minutes', '1');
    expect(outcome.output).toContain('no reliability test is called no-such-test');
    expect(outcome.code).toBe(1);
  });
});
