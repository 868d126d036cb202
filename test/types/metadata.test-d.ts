/** Our metadata types against Kubernetes' own, as they look on the wire. */
import { describe, it } from 'vitest';
import type { Condition, Jsonify, ObjectMeta, ObjectMetaInput, OwnerReference } from '../../src/schemas/index.js';
import type { V1Condition, V1ObjectMeta, V1OwnerReference } from './client-node.js';
import { check, type Equal, type Extends } from './expect.js';

type TheirMeta = Jsonify<V1ObjectMeta>;
type Writable<T> = { -readonly [K in keyof T]: T[K] };

describe('metadata', () => {
  it('is Kubernetes’ ObjectMeta without what is not kept', () => {
    check<Equal<Exclude<keyof TheirMeta, keyof ObjectMeta>, 'managedFields' | 'selfLink'>>();
    check<Equal<Exclude<keyof ObjectMeta, keyof TheirMeta>, never>>();
    check<Extends<ObjectMeta, TheirMeta>>();
    check<Equal<Required<ObjectMeta>, Required<Writable<Pick<TheirMeta, keyof ObjectMeta>>>>>();
    check<Equal<ObjectMeta['creationTimestamp'], string>>();
  });

  it('has owners in Kubernetes’ shape', () => {
    check<Equal<OwnerReference, Jsonify<V1OwnerReference>>>();
  });

  it('has conditions in Kubernetes’ shape, with a closed status', () => {
    check<Extends<Condition, Jsonify<V1Condition>>>();
    check<Equal<keyof Condition, keyof Jsonify<V1Condition>>>();
    check<Equal<Condition<'Ready'>['type'], 'Ready'>>();
  });

  it('may be written as it was read', () => {
    check<Extends<ObjectMeta, ObjectMetaInput>>();
    check<Equal<keyof ObjectMeta, keyof ObjectMetaInput>>();
    check<Equal<Partial<ObjectMetaInput>, ObjectMetaInput>>();
  });
});

describe('Jsonify', () => {
  it('turns dates into texts and drops what JSON does not have', () => {
    interface Thing {
      at: Date;
      readonly list: Date[];
      maybe?: Date;
      run(): void;
      nested: { at: Date | null };
      pair: [Date, number];
    }
    check<
      Equal<Jsonify<Thing>, { at: string; readonly list: string[]; maybe?: string; nested: { at: string | null }; pair: [string, number] }>
    >();
    check<Equal<Jsonify<unknown>, unknown>>();
  });
});
