/** Real world: processes, with real signals. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const script = fileURLToPath(new URL('children/stopper.ts', import.meta.url));

/** Runs a process, sends it what `act` sends once its reconcile has begun, and gives how it ended. */
async function stopper(
  signals: 'yes' | 'no',
  drain: number,
  act: (kill: (signal: NodeJS.Signals) => void) => void,
): Promise<{ code: number | null; signal: NodeJS.Signals | null; said: string[] }> {
  const child = spawn(process.execPath, ['--import', 'tsx', script, signals, String(drain)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const begun = said.includes('begun');
    said += text;
    if (!begun && said.includes('begun')) act((signal) => child.kill(signal));
  });
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    return { code, signal, said: said.trim().split('\n') };
  } finally {
    child.kill('SIGKILL');
  }
}

describe('signals', { timeout: 60_000 }, () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    '%s stops a manager that asked for it, in good order, and the process ends by itself',
    async (signal) => {
      const end = await stopper('yes', 50, (kill) => kill(signal));
      expect(end).toEqual({ code: 0, signal: null, said: ['listeners 0 0', 'begun', 'drained', 'stopped, listeners 0 0'] });
    },
  );

  it('a second one exits with 1 at once', async () => {
    const began = Date.now();
    let again: NodeJS.Timeout | undefined;
    const end = await stopper('yes', 30_000, (kill) => {
      kill('SIGTERM');
      // Until it is the second: one that comes before a busy machine has delivered the first is one with it.
      again = setInterval(() => kill('SIGTERM'), 300);
    });
    clearInterval(again);
    expect([end.code, end.said]).toEqual([1, ['listeners 0 0', 'begun']]);
    expect(Date.now() - began).toBeLessThan(25_000);
  });

  it('a manager that runs keeps its process alive, however little there is to do', async () => {
    const end = await stopper('yes', 0, (kill) => void setTimeout(() => kill('SIGTERM'), 1_500));
    expect(end.code).toBe(0);
    expect(end.said).toContain('stopped, listeners 0 0');
  });

  it('a manager that did not ask installs nothing', async () => {
    const end = await stopper('no', 50, (kill) => kill('SIGTERM'));
    expect(end).toEqual({ code: null, signal: 'SIGTERM', said: ['listeners 0 0', 'begun'] });
  });
});
