/**
 * Defaults of a schema as one function made ahead of time: it visits only what has a default at or below it.
 *
 * Invariant: each object gets its own copy of a default, so that changing one never changes another.
 */
import { cloneJson } from './json.js';
import type { JsonSchema } from './schema.js';
import { Sealed } from './sealed.js';

/** Fills in what is absent, in place. */
export type Filler = (value: unknown) => void;

type Bag = Record<string, unknown>;

function isBag(value: unknown): value is Bag {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !Sealed.is(value);
}

/** The filler of a schema, or undefined when there is nothing to fill in. */
export function createFiller(schema: JsonSchema): Filler | undefined {
  const steps: Filler[] = [];
  const named = Object.entries(schema.properties ?? {});
  for (const [name, child] of named) steps.push(...propertySteps(name, child));
  const others = typeof schema.additionalProperties === 'object' ? createFiller(schema.additionalProperties) : undefined;
  if (others !== undefined) {
    const names = new Set(named.map(([name]) => name));
    steps.push((value) => {
      for (const key of Object.keys(value as Bag)) if (!names.has(key)) others((value as Bag)[key]);
    });
  }
  const items = schema.items === undefined ? undefined : createFiller(schema.items);
  if (steps.length === 0 && items === undefined) return undefined;
  return (value) => {
    if (Array.isArray(value)) {
      if (items !== undefined) for (const item of value as unknown[]) items(item);
    } else if (isBag(value)) {
      for (const step of steps) step(value);
    }
  };
}

function propertySteps(name: string, schema: JsonSchema): Filler[] {
  const steps: Filler[] = [];
  const standard = schema.default;
  if (standard !== undefined) {
    const isScalar = typeof standard !== 'object' || standard === null;
    steps.push((value) => {
      const bag = value as Bag;
      if (bag[name] === undefined || !Object.hasOwn(bag, name)) bag[name] = isScalar ? standard : cloneJson(standard);
    });
  }
  const below = createFiller(schema);
  if (below !== undefined) {
    steps.push((value) => {
      const child = (value as Bag)[name];
      if (typeof child === 'object' && child !== null) below(child);
    });
  }
  return steps;
}
