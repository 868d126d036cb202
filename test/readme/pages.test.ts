/** The pages at the top of the repository lead somewhere: each relative link names a file that exists. */
import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const pages = [root, join(root, 'docs')]
  .flatMap((folder) => readdirSync(folder).map((file) => join(folder, file)))
  .filter((file) => file.endsWith('.md'));

describe('the pages', () => {
  it.each(pages.map((page) => page.slice(root.length)))('%s links to files that exist', async (page) => {
    const text = await readFile(join(root, page), 'utf8');
    const targets = [...text.matchAll(/\[[^\]]*\]\(([^)\s]+)\)/g)]
      .map((match) => match[1] ?? '')
      .filter((target) => !/^(https?:|mailto:|#)/.test(target));
    expect(targets.filter((target) => !existsSync(join(root, dirname(page), target.replace(/#.*/, ''))))).toEqual([]);
  });
});
