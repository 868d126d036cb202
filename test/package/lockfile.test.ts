/**
 * The lockfile pins what is installed by content and names no host. (Binaries of platforms that the registry at hand does not
 * have are left out by npm; `npm install` copes with that, `npm ci` does not.)
 */
import { readFile } from 'node:fs/promises';

import { describe, expect, it } from 'vitest';

interface Entry {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly optional?: boolean;
  readonly os?: readonly string[];
  readonly libc?: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const read = async (file: string): Promise<unknown> => JSON.parse(await readFile(new URL(`../../${file}`, import.meta.url), 'utf8'));
const lock = (await read('package-lock.json')) as { readonly packages: Readonly<Record<string, Entry>> };
const manifest = (await read('package.json')) as Entry;
const packages = Object.entries(lock.packages);

describe('package-lock.json', () => {
  it('agrees with package.json', () => {
    const root = lock.packages[''];
    expect(root?.dependencies).toEqual(manifest.dependencies);
    expect(root?.devDependencies).toEqual(manifest.devDependencies);
  });

  it('names no host to download from', () => {
    expect(packages.filter(([, entry]) => entry.resolved !== undefined).map(([path]) => path)).toEqual([]);
  });

  it('pins by content whatever Linux with glibc installs', () => {
    const unpinned = packages.filter(([path, { integrity, os, libc }]) => {
      const elsewhere = (os !== undefined && !os.includes('linux')) || (libc !== undefined && !libc.includes('glibc'));
      return path !== '' && integrity === undefined && !elsewhere;
    });
    // Binaries for processors that the registry did not have when the lockfile was written.
    const other = /linux-(arm|ppc64|riscv64|s390x)(-|$)/;
    expect(unpinned.map(([path]) => path).filter((path) => !other.test(path))).toEqual([]);
  });
});
