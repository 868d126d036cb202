/**
 * Reads YAML manifests and applies them, all or nothing: every fault is found, with file, document and field, before
 * anything is written.
 */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { checkJson, isInvalid, isStatusError } from 'rune-runtime';
import type { AnyDefinition, Store } from 'rune-runtime';

/** Something wrong in a manifest. */
export interface Fault {
  readonly file: string;
  /** Counted from 1. */
  readonly document: number;
  /** Empty when it is about the document as a whole. */
  readonly field: string;
  readonly message: string;
}

/** An object to apply, and where it was said. */
interface Manifest {
  readonly file: string;
  readonly document: number;
  readonly definition: AnyDefinition;
  readonly namespace: string | undefined;
  readonly name: string;
  readonly object: Record<string, unknown>;
}

/** Where manifests without a namespace go. */
const defaultNamespace = 'default';

/** Thrown with every fault of every file. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError';
  readonly faults: readonly Fault[];

  constructor(faults: readonly Fault[]) {
    super(
      faults
        .map(({ file, document, field, message }) => `${file}, document ${document}${field === '' ? '' : `, ${field}`}: ${message}`)
        .join('\n'),
    );
    this.faults = faults;
  }
}

/** Applies the manifests of all files. @throws {ManifestError} with nothing written */
export async function applyManifests(store: Store, files: readonly string[], types: readonly AnyDefinition[]): Promise<number> {
  const faults: Fault[] = [];
  const manifests = (await Promise.all(files.map((file) => readManifests(file, types, faults)))).flat();
  const said = new Map<string, Manifest>();
  for (const manifest of manifests) {
    const key = `${manifest.definition.type}/${manifest.namespace ?? '-'}/${manifest.name}`;
    const first = said.get(key);
    if (first === undefined) said.set(key, manifest);
    else
      faults.push({
        ...where(manifest),
        field: 'metadata.name',
        message: `${key} is said twice: first in ${first.file}, document ${first.document}`,
      });
    await apply(store, manifest, { dryRun: true }).catch((error: unknown) => faults.push(...faultsOf(manifest, error)));
  }
  if (faults.length > 0) throw new ManifestError(faults);
  for (const manifest of manifests) await apply(store, manifest, {});
  return manifests.length;
}

function apply(store: Store, { definition, namespace, name, object }: Manifest, options: { readonly dryRun?: boolean }): Promise<unknown> {
  return store.apply(definition, namespace, name, object, { source: 'manifests', ...options });
}

async function readManifests(file: string, types: readonly AnyDefinition[], faults: Fault[]): Promise<Manifest[]> {
  const short = basename(file);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    faults.push({ file: short, document: 1, field: '', message: `cannot be read: ${(error as Error).message}` });
    return [];
  }
  const manifests: Manifest[] = [];
  const documents = parseAllDocuments(text, { uniqueKeys: true });
  for (const [index, parsed] of (Array.isArray(documents) ? documents : []).entries()) {
    const at = { file: short, document: index + 1 };
    if (parsed.errors.length > 0) {
      for (const error of parsed.errors) faults.push({ ...at, field: '', message: `is not valid YAML: ${error.message.split('\n')[0]}` });
      continue;
    }
    let object: unknown;
    try {
      object = parsed.toJS({ maxAliasCount: 100 });
    } catch (error) {
      // An alias that points nowhere, or far too many of them.
      faults.push({ ...at, field: '', message: `is not valid YAML: ${(error as Error).message}` });
      continue;
    }
    // Nothing between two lines of dashes is no manifest and no fault.
    if (object === null || object === undefined) continue;
    const manifest = toManifest(object, types, at, faults);
    if (manifest !== undefined) manifests.push(manifest);
  }
  return manifests;
}

function toManifest(
  object: unknown,
  types: readonly AnyDefinition[],
  at: { readonly file: string; readonly document: number },
  faults: Fault[],
): Manifest | undefined {
  const fault = (field: string, message: string): undefined => {
    faults.push({ ...at, field, message });
    return undefined;
  };
  if (typeof object !== 'object' || object === null || Array.isArray(object))
    return fault('', 'must be an object with apiVersion, kind and metadata');
  const hostile = checkJson(object);
  if (hostile.length > 0) {
    for (const cause of hostile) fault(cause.field, cause.message);
    return undefined;
  }
  const { kind, apiVersion, metadata } = object as { kind?: unknown; apiVersion?: unknown; metadata?: unknown };
  if (typeof kind !== 'string') return fault('kind', `is required: one of ${types.map((type) => type.kind).join(', ')}`);
  const definition = types.find((type) => type.kind === kind && (apiVersion === undefined || apiVersion === type.apiVersion));
  if (definition === undefined)
    return fault(
      'kind',
      `${kind}${typeof apiVersion === 'string' ? ` of ${apiVersion}` : ''} is not known: one of ${types.map((type) => `${type.kind} (${type.apiVersion})`).join(', ')}`,
    );
  const { name, namespace } = (metadata ?? {}) as { name?: unknown; namespace?: unknown };
  if (name === undefined || name === null) return fault('metadata.name', 'is required');
  if (typeof name !== 'string') return fault('metadata.name', 'must be text: put it in quotes');
  if (namespace !== undefined && typeof namespace !== 'string') return fault('metadata.namespace', 'must be text: put it in quotes');
  const space = definition.scope === 'Cluster' ? undefined : (namespace ?? defaultNamespace);
  return { ...at, definition, namespace: space, name, object: object as Record<string, unknown> };
}

function faultsOf(manifest: Manifest, error: unknown): Fault[] {
  if (isInvalid(error) && error.causes.length > 0)
    return error.causes.map((cause) => ({ ...where(manifest), field: cause.field, message: cause.message }));
  if (isStatusError(error)) return [{ ...where(manifest), field: '', message: error.message }];
  throw error;
}

function where({ file, document }: Manifest): { readonly file: string; readonly document: number } {
  return { file, document };
}
