/** What the tests of encryption share: a type with nested secrets, canaries, raw bytes of a directory. */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { defineResource } from '../../../src/schemas/index.js';
import { openStore, systemDeps } from '../../../src/store/index.js';
import type { Engine, EngineSource, Logger, OpenStoreOptions, Store } from '../../../src/store/index.js';

/** Secrets at several depths, beside what is not secret. */
export const Account = defineResource({
  kind: 'Account',
  spec: {
    type: 'object',
    properties: {
      user: { type: 'string' },
      password: { type: 'string', sensitive: true },
      keys: {
        type: 'array',
        items: { type: 'object', properties: { name: { type: 'string' }, pem: { type: 'string', sensitive: true } } },
      },
      tokens: { type: 'object', additionalProperties: { type: 'string', sensitive: true } },
      limits: { type: 'object', sensitive: true, additionalProperties: true, properties: {} },
      pin: { type: 'integer', sensitive: true },
    },
  },
  status: { type: 'object', properties: { phase: { type: 'string' }, session: { type: 'string', sensitive: true } } },
});

/** Logs in memory, so that a test can look through them. */
export function memoryLogger(): { readonly logger: Logger; readonly lines: string[] } {
  const lines: string[] = [];
  const log = (fields: object, message: string): void => void lines.push(`${message} ${JSON.stringify(fields, errorsToo)}`);
  const logger: Logger = { trace: log, debug: log, info: log, warn: log, error: log, child: () => logger };
  return { logger, lines };
}

function errorsToo(_key: string, value: unknown): unknown {
  return value instanceof Error
    ? { ...Object.fromEntries(Object.entries(value)), message: value.message, stack: value.stack, cause: value.cause }
    : value;
}

/** A store whose logs are kept, or thrown away. */
export function open(options: OpenStoreOptions, logger: Logger = memoryLogger().logger): Promise<Store> {
  return openStore({ deps: systemDeps({ logger }), ...options });
}

/** An engine source that remembers the engine it opened, so that a test can reach under the store. */
export function tapped(source: EngineSource): EngineSource & { readonly engine: () => Engine } {
  let opened: Engine | undefined;
  return {
    ...source,
    open: async (context) => (opened = await source.open(context)),
    engine: () => opened!,
  };
}

/** A text and the forms it could be found in. */
export function formsOf(text: string): readonly Buffer[] {
  const bytes = Buffer.from(text);
  const forms = new Set([
    text,
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    bytes.toString('base64').replace(/=+$/, ''),
    bytes.toString('base64url'),
  ]);
  // In a longer text base64 begins at any of three places.
  for (const shift of [1, 2]) {
    const shifted = Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64');
    forms.add(shifted.slice(4, -4));
  }
  return [...forms].map((form) => Buffer.from(form));
}

/** The files of a directory, by path. */
export async function filesOf(directory: string): Promise<ReadonlyMap<string, Buffer>> {
  const found = new Map<string, Buffer>();
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    found.set(path, await readFile(path));
  }
  return found;
}

/** Where any form of any of the texts is. */
export function hitsIn(name: string, bytes: Buffer, texts: readonly string[]): readonly string[] {
  return texts.flatMap((text) =>
    formsOf(text)
      .filter((form) => bytes.includes(form))
      .map((form) => `${name}: ${form.toString().slice(0, 60)}`),
  );
}
