/** .ci/run with an npm that does as it is told: what it counts, what it says last, when it fails. */
import { chmod, cp } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { root, run, temporaryFolder, writeFiles, type Outcome } from '../support/built-package.js';

interface Npm {
  readonly ci?: number;
  readonly check?: number;
  readonly test?: number;
  /** What vitest reports; undefined: it died before it could. */
  readonly report?: unknown;
}

const green = { numPassedTests: 7, numFailedTests: 0, testResults: [{ status: 'passed', assertionResults: [{ status: 'passed' }] }] };

async function ci({ ci: install = 0, check = 0, test = 0, report }: Npm): Promise<Outcome & { readonly last: string }> {
  await using folder = await temporaryFolder('ci');
  await cp(join(root, '.ci/run'), join(folder.path, '.ci/run'), { recursive: true });
  const npm = [
    '#!/usr/bin/env bash',
    'case "$1 ${2:-}" in',
    `  "install "*) exit ${install} ;;`,
    `  "run check") echo checked; exit ${check} ;;`,
    '  "test "*)',
    '    for arg in "$@"; do case "$arg" in --outputFile.json=*) file="${arg#*=}" ;; esac; done',
    report === undefined ? '    :' : `    cat > "$file" <<'END'\n${JSON.stringify(report)}\nEND`,
    '    echo "Tests  as told"',
    `    exit ${test} ;;`,
    'esac',
    'exit 99',
  ];
  await writeFiles(folder.path, { 'bin/npm': npm.join('\n') });
  await chmod(join(folder.path, 'bin/npm'), 0o755);
  const outcome = await run('bash', ['-c', 'PATH="$PWD/bin:$PATH" .ci/run'], { cwd: folder.path });
  return { ...outcome, last: outcome.stdout.trimEnd().split('\n').at(-1) ?? '' };
}

describe('.ci/run', () => {
  it('ends with the numbers and exits 0 when all is well', async () => {
    const outcome = await ci({ report: green });
    expect(outcome.last).toBe('7 passed, 0 failed');
    expect(outcome.code, outcome.output).toBe(0);
    expect(outcome.stdout).toContain('Tests  as told');
  });

  it('counts failed tests once, and files that did not load', async () => {
    const failing = { status: 'failed', assertionResults: [{ status: 'failed' }, { status: 'failed' }] };
    const unloaded = { status: 'failed', assertionResults: [] };
    const outcome = await ci({ test: 1, report: { numPassedTests: 5, numFailedTests: 2, testResults: [failing, unloaded] } });
    expect(outcome.last).toBe('5 passed, 3 failed');
    expect(outcome.code).toBe(1);
  });

  it('fails when vitest fails with no test to blame, or reports nothing', async () => {
    const unhandled = await ci({ test: 1, report: green });
    expect([unhandled.last, unhandled.code]).toEqual(['7 passed, 1 failed', 1]);
    const died = await ci({ test: 137 });
    expect([died.last, died.code]).toEqual(['0 passed, 1 failed', 1]);
  });

  it('runs the tests also when a check failed, and fails', async () => {
    const outcome = await ci({ check: 1, report: green });
    expect(outcome.stdout).toContain('failed: check');
    expect([outcome.last, outcome.code]).toEqual(['7 passed, 1 failed', 1]);
  });

  it('stops when nothing could be installed', async () => {
    const outcome = await ci({ ci: 1, report: green });
    expect(outcome.stdout).not.toContain('checked');
    expect([outcome.last, outcome.code]).toEqual(['0 passed, 1 failed', 1]);
  });
});
