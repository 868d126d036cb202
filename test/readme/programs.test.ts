/** What counts as a program of a page: a test of the test of the README. */
import { describe, expect, it } from 'vitest';

import { programsOf } from './programs.js';

const fence = (language: string, text: string) => `\`\`\`${language}\n${text}\n\`\`\`\n`;

describe('programsOf', () => {
  it('takes fences of ts, named by their heading', () => {
    const page = `# Page\n${fence('ts', 'a;')}## Part\n${fence('sh', 'ls')}${fence('ts', 'b;')}${fence('ts', 'c;')}`;
    expect(programsOf(page)).toEqual([
      { title: 'Page', line: 2, code: 'a;\n', prints: undefined },
      { title: 'Part', line: 9, code: 'b;\n', prints: undefined },
      { title: 'Part (2)', line: 12, code: 'c;\n', prints: undefined },
    ]);
  });

  it('joins what continues and keeps what it prints', () => {
    const page = `${fence('ts', 'a;')}prose\n\n<!-- continues -->\n${fence('ts', 'b;')}${fence('text', 'out')}`;
    expect(programsOf(page)).toEqual([{ title: 'top', line: 1, code: 'a;\n\nb;\n', prints: 'out\n' }]);
  });

  it('leaves fragments out and takes indented fences', () => {
    expect(programsOf(`<!-- fragment -->\n${fence('ts', 'a(): void')}`)).toEqual([]);
    expect(programsOf('- item\n\n  ```ts\n  a;\n    b;\n  ```\n')[0]?.code).toBe('a;\n  b;\n');
  });

  it('refuses code that would not be run, and fences left open', () => {
    expect(() => programsOf(fence('typescript', 'a;'))).toThrow('line 1: code is written in a fence of `ts`');
    expect(() => programsOf('```ts\na;\n')).toThrow('line 1: a fence that is never closed');
    expect(() => programsOf(`<!-- continues -->\n${fence('ts', 'a;')}`)).toThrow('nothing to continue');
  });
});
