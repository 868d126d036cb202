import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cloneJson } from '../../../src/schemas/index.js';
import {
  applyManifest,
  decodeLastApplied,
  encodeLastApplied,
  LAST_APPLIED_ANNOTATION,
  threeWayApply,
} from '../../../src/store/patch/index.js';

describe('threeWayApply', () => {
  describe('fields', () => {
    it.each([
      ['sets what the manifest changed', { a: 1 }, { a: 2 }, { a: 1 }, { a: 2 }],
      ['sets what the manifest changed, over what others set', { a: 1 }, { a: 2 }, { a: 9 }, { a: 2 }],
      ['adds what the manifest names for the first time', {}, { a: 1 }, {}, { a: 1 }],
      ['overrides others where the manifest names a field for the first time', {}, { a: 1 }, { a: 9 }, { a: 1 }],
      ['leaves what others changed where the manifest says what it said', { a: 1 }, { a: 1 }, { a: 9 }, { a: 9 }],
      ['leaves out what others removed where the manifest says what it said', { a: 1 }, { a: 1 }, {}, {}],
      ['changes one field and leaves the other as others made it', { a: 1, b: 1 }, { a: 1, b: 2 }, { a: 9, b: 1 }, { a: 9, b: 2 }],
      ['removes what the manifest stopped naming', { a: 1, b: 1 }, { b: 1 }, { a: 1, b: 1 }, { b: 1 }],
      ['removes it also after others changed it', { a: 1 }, {}, { a: 9 }, {}],
      ['keeps what the manifest never named', { a: 1 }, { a: 2 }, { a: 1, z: 1 }, { a: 2, z: 1 }],
      ['takes the removal of what is gone for done', { a: 1 }, {}, {}, {}],
      ['removes what the manifest says is null', { a: 1 }, { a: null }, { a: 1, b: 1 }, { b: 1 }],
      ['removes a null even when it was never named', {}, { a: null }, { a: 1 }, {}],
      ['leaves what others set where the null is an old one', { a: null }, { a: null }, { a: 5 }, { a: 5 }],
      ['does not remove what was null before and is not named now', { a: null }, {}, { a: 5 }, { a: 5 }],
      ['replaces an object by a scalar', { a: { b: 1 } }, { a: 1 }, { a: { b: 1, c: 1 } }, { a: 1 }],
      ['replaces a scalar by an object', { a: 1 }, { a: { b: 1 } }, { a: 1 }, { a: { b: 1 } }],
    ])('%s', (_title, last, manifest, live, expected) => {
      expect(threeWayApply({ last: { spec: last }, manifest: { spec: manifest }, live: { spec: live } })).toEqual({ spec: expected });
    });

    it('removes of a nested object only what the manifest had named', () => {
      const result = threeWayApply({
        last: { spec: { nested: { mine: 1, deep: { mine: 1 } } } },
        manifest: { spec: {} },
        live: { spec: { nested: { mine: 1, theirs: 2, deep: { mine: 1, theirs: 2 } } } },
      });
      expect(result).toEqual({ spec: { nested: { theirs: 2, deep: { theirs: 2 } } } });
    });

    it('removes a nested object that holds nothing more', () => {
      expect(
        threeWayApply({
          last: { spec: { a: 1, env: { x: '1' } } },
          manifest: { spec: { a: 1 } },
          live: { spec: { a: 1, env: { x: '1' } } },
        }),
      ).toEqual({ spec: { a: 1 } });
    });

    it('keeps an empty object that the manifest names', () => {
      expect(
        threeWayApply({ last: { spec: { env: { x: '1' } } }, manifest: { spec: { env: {} } }, live: { spec: { env: { x: '1' } } } }),
      ).toEqual({ spec: { env: {} } });
    });

    it('takes everything as new when nothing was applied before', () => {
      expect(threeWayApply({ manifest: { spec: { a: 1 } }, live: { spec: { a: 9, z: 1 } } })).toEqual({ spec: { a: 1, z: 1 } });
    });

    it('makes the manifest anew when the object is gone, whatever was applied before', () => {
      expect(threeWayApply({ last: { spec: { a: 1 } }, manifest: { spec: { a: 1, b: null } } })).toEqual({ spec: { a: 1 } });
    });

    it('does not undo what an operation scaled with the manifest that did not change, nor with one that changed elsewhere', () => {
      const manifest = { spec: { image: 'web:1', scale: 2 } };
      const live = { spec: { image: 'web:1', scale: 5 } };
      expect(threeWayApply({ last: manifest, manifest, live })).toEqual(live);
      expect(threeWayApply({ last: manifest, manifest: { spec: { image: 'web:2', scale: 2 } }, live })).toEqual({
        spec: { image: 'web:2', scale: 5 },
      });
      expect(threeWayApply({ last: manifest, manifest: { spec: { image: 'web:1', scale: 3 } }, live })).toEqual({
        spec: { image: 'web:1', scale: 3 },
      });
    });
  });

  describe('what is left of an object that is no longer named', () => {
    const schema = {
      properties: {
        spec: {
          properties: {
            probe: {
              required: ['path'],
              properties: { path: { type: 'string' }, port: { type: 'integer', default: 80 }, note: { type: 'string' } },
            },
            limits: { properties: { cpu: { type: 'integer' }, memory: { type: 'integer', default: 64 } } },
          },
        },
      },
    };

    it('goes when only defaults are left', () => {
      const result = threeWayApply({
        schema,
        last: { spec: { limits: { cpu: 1 } } },
        manifest: { spec: {} },
        live: { spec: { limits: { cpu: 1, memory: 64 } } },
      });
      expect(result).toEqual({ spec: {} });
    });

    it('goes when a required field is no longer there', () => {
      const result = threeWayApply({
        schema,
        last: { spec: { probe: { path: '/' } } },
        manifest: { spec: {} },
        live: { spec: { probe: { path: '/', port: 80, note: 'theirs' } } },
      });
      expect(result).toEqual({ spec: {} });
    });

    it('stays when others set more than defaults', () => {
      const result = threeWayApply({
        schema,
        last: { spec: { limits: { cpu: 1 } } },
        manifest: { spec: {} },
        live: { spec: { limits: { cpu: 1, memory: 128 } } },
      });
      expect(result).toEqual({ spec: { limits: { memory: 128 } } });
    });
  });

  describe('lists', () => {
    const keyed = {
      properties: {
        spec: {
          properties: {
            ports: {
              type: 'array',
              'x-list-map-keys': ['port', 'protocol'],
              items: { properties: { port: { type: 'integer' }, protocol: { type: 'string', default: 'TCP' }, name: { type: 'string' } } },
            },
          },
        },
      },
    };
    const ports = (last: unknown, manifest: unknown, live: unknown): unknown => {
      const wrap = (value: unknown): unknown => (value === undefined ? { spec: {} } : { spec: { ports: value } });
      const result = threeWayApply({ schema: keyed, last: wrap(last), manifest: wrap(manifest), live: wrap(live) }) as {
        spec: { ports?: unknown };
      };
      return result.spec.ports;
    };

    it('replaces a list whole when nothing tells its items apart', () => {
      expect(threeWayApply({ last: { args: ['a'] }, manifest: { args: ['b'] }, live: { args: ['a', 'theirs'] } })).toEqual({ args: ['b'] });
    });

    it('leaves a list that others changed when the manifest did not', () => {
      expect(threeWayApply({ last: { args: ['a'] }, manifest: { args: ['a'] }, live: { args: ['a', 'theirs'] } })).toEqual({
        args: ['a', 'theirs'],
      });
    });

    it('keeps nulls inside a list that is replaced whole', () => {
      expect(threeWayApply({ manifest: { list: [null, { a: null }] } })).toEqual({ list: [null, { a: null }] });
    });

    it('merges a list by its keys: changes mine, keeps theirs, adds new ones at the end, removes those I stopped naming', () => {
      expect(
        ports(
          [{ port: 80, name: 'web' }, { port: 90 }],
          [{ port: 80, name: 'http' }, { port: 443 }],
          [{ port: 80, protocol: 'TCP', name: 'web', theirs: 1 }, { port: 8080 }, { port: 90, theirs: 1 }],
        ),
      ).toEqual([{ port: 80, protocol: 'TCP', name: 'http', theirs: 1 }, { port: 8080 }, { port: 443 }]);
    });

    it('tells items apart by all keys, with the default of one left out', () => {
      expect(
        ports(
          [],
          [
            { port: 53, name: 'a' },
            { port: 53, protocol: 'UDP', name: 'b' },
          ],
          [
            { port: 53, protocol: 'UDP' },
            { port: 53, protocol: 'TCP' },
          ],
        ),
      ).toEqual([
        { port: 53, protocol: 'TCP', name: 'a' },
        { port: 53, protocol: 'UDP', name: 'b' },
      ]);
    });

    it('removes with the list only the items it had named', () => {
      expect(ports([{ port: 80 }], undefined, [{ port: 80 }, { port: 81 }])).toEqual([{ port: 81 }]);
      expect(ports([{ port: 80 }], undefined, [{ port: 80 }])).toBeUndefined();
      expect(ports([{ port: 80 }], [], [{ port: 80 }, { port: 81 }])).toEqual([{ port: 81 }]);
    });

    it('takes the order of the manifest when that changed, and leaves the places of the others', () => {
      const live = [{ port: 1 }, { port: 99 }, { port: 2 }];
      expect(ports([{ port: 1 }, { port: 2 }], [{ port: 2 }, { port: 1 }], live)).toEqual([{ port: 2 }, { port: 99 }, { port: 1 }]);
      expect(ports([{ port: 2 }, { port: 1 }], [{ port: 2, name: 'n' }, { port: 1 }], live)).toEqual([
        { port: 1 },
        { port: 99 },
        { port: 2, name: 'n' },
      ]);
    });

    it('replaces a keyed list whole when an item has no key or two have the same', () => {
      expect(ports([], [{ port: 1 }, { port: 1 }], [{ port: 5 }])).toEqual([{ port: 1 }, { port: 1 }]);
      expect(ports([], [{ name: 'x' }], [{ port: 5 }])).toEqual([{ name: 'x' }]);
    });

    it('never drops the finalizers and owners of others', () => {
      const result = threeWayApply({
        last: { metadata: { finalizers: ['mine/a'], ownerReferences: [{ uid: '1' }] } },
        manifest: { metadata: { finalizers: ['mine/b'], ownerReferences: [{ uid: '2' }] } },
        live: { metadata: { finalizers: ['theirs/x', 'mine/a'], ownerReferences: [{ uid: '1' }, { uid: '9' }] } },
      });
      expect(result).toEqual({ metadata: { finalizers: ['theirs/x', 'mine/b'], ownerReferences: [{ uid: '9' }, { uid: '2' }] } });
    });
  });

  describe('metadata and status', () => {
    const live = {
      apiVersion: 'rune.dev/v1',
      kind: 'Service',
      metadata: { name: 'web', namespace: 'prod', uid: 'u1', resourceVersion: '7', generation: 3, labels: { theirs: '1' } },
      spec: { a: 1 },
      status: { ready: 3 },
    };

    it('ignores status and server-set metadata of the manifest', () => {
      const manifest = {
        metadata: { name: 'web', uid: 'other', resourceVersion: '1', generation: 99, creationTimestamp: 'x', labels: { mine: '1' } },
        spec: { a: 2 },
        status: { ready: 0 },
      };
      expect(threeWayApply({ manifest, live })).toEqual({
        ...live,
        metadata: { ...live.metadata, labels: { theirs: '1', mine: '1' } },
        spec: { a: 2 },
      });
    });

    it('leaves the identity alone when the manifest no longer says it', () => {
      const last = {
        apiVersion: 'rune.dev/v1',
        kind: 'Service',
        metadata: { name: 'web', namespace: 'prod', labels: { mine: '1' } },
        spec: { a: 1 },
      };
      const withMine = { ...live, metadata: { ...live.metadata, labels: { theirs: '1', mine: '1' } } };
      expect(threeWayApply({ last, manifest: { spec: { a: 1 } }, live: withMine })).toEqual(live);
    });
  });

  describe('properties', () => {
    const key = fc.constantFrom('a', 'b', 'c', 'd');
    const scalar = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constantFrom('x', 'y'), fc.boolean());
    const { tree } = fc.letrec<{ tree: Record<string, unknown>; value: unknown }>((tie) => ({
      tree: fc.dictionary(key, tie('value'), { maxKeys: 4 }),
      value: fc.oneof({ depthSize: 'small', withCrossShrink: true }, scalar, fc.array(scalar, { maxLength: 3 }), tie('tree')),
    }));
    const nullable = fc.tuple(tree, fc.array(key, { maxLength: 2 })).map(([spec, gone]) => ({
      ...spec,
      ...Object.fromEntries(gone.map((each) => [each, null])),
    }));
    const resource = (spec: unknown): { spec: unknown } => ({ spec });

    it('gives the manifest when there is nothing', () => {
      fc.assert(
        fc.property(tree, (spec) => {
          expect(threeWayApply({ manifest: resource(spec) })).toEqual(resource(spec));
          expect(threeWayApply({ manifest: resource(spec), live: {} })).toEqual(resource(spec));
        }),
      );
    });

    it('changes nothing when the manifest did not change, whatever others did', () => {
      fc.assert(
        fc.property(nullable, tree, (spec, live) => {
          expect(threeWayApply({ last: resource(spec), manifest: resource(spec), live: resource(live) })).toEqual(resource(live));
        }),
      );
    });

    it('is idempotent, with any past and any live object', () => {
      fc.assert(
        fc.property(tree, nullable, tree, (last, manifest, live) => {
          const once = applyManifest({
            manifest: resource(manifest),
            live: { ...resource(live), metadata: { annotations: { [LAST_APPLIED_ANNOTATION]: encodeLastApplied(resource(last)) } } },
          });
          expect(applyManifest({ manifest: resource(manifest), live: once })).toEqual(once);
        }),
      );
    });

    it('is idempotent with lists merged by key, keeps the items of others, and has every item the manifest changed', () => {
      const schema = {
        properties: { spec: { properties: { list: { 'x-list-map-keys': ['k'], items: { properties: { k: { type: 'string' } } } } } } },
      };
      const list = fc.uniqueArray(fc.record({ k: fc.constantFrom('a', 'b', 'c', 'd', 'e'), v: fc.integer({ min: 0, max: 2 }) }), {
        selector: (entry) => entry.k,
      });
      const wrap = (value: unknown): { spec: { list: unknown } } => ({ spec: { list: value } });
      fc.assert(
        fc.property(list, list, list, (last, manifest, live) => {
          const once = applyManifest({
            schema,
            manifest: wrap(manifest),
            live: { ...wrap(live), metadata: { annotations: { [LAST_APPLIED_ANNOTATION]: encodeLastApplied(wrap(last)) } } },
          }) as { spec: { list: { k: string; v: number }[] } };
          expect(applyManifest({ schema, manifest: wrap(manifest), live: once })).toEqual(once);
          const result = once.spec.list;
          expect(new Set(result.map(({ k }) => k)).size).toBe(result.length);
          for (const entry of live) {
            if (![...last, ...manifest].some(({ k }) => k === entry.k)) expect(result).toContainEqual(entry);
          }
          for (const entry of manifest) {
            if (!last.some(({ k, v }) => k === entry.k && v === entry.v)) expect(result).toContainEqual(entry);
          }
        }),
        { numRuns: 500 },
      );
    });

    it('keeps every field that neither manifest names, and takes every field that the manifest changed', () => {
      const flat = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), scalar);
      fc.assert(
        fc.property(flat, flat, flat, (last, manifest, live) => {
          const { spec: result } = threeWayApply({ last: resource(last), manifest: resource(manifest), live: resource(live) }) as {
            spec: Record<string, unknown>;
          };
          for (const each of new Set([...Object.keys(last), ...Object.keys(manifest), ...Object.keys(live), ...Object.keys(result)])) {
            const wanted = !(each in manifest)
              ? each in last
                ? undefined
                : live[each]
              : manifest[each] === last[each]
                ? live[each]
                : manifest[each];
            expect([each, result[each]]).toEqual([each, wanted]);
          }
        }),
        { numRuns: 500 },
      );
    });

    it('changes none of its inputs and shares nothing with them', () => {
      fc.assert(
        fc.property(tree, nullable, tree, (last, manifest, live) => {
          const input = { last: resource(last), manifest: resource(manifest), live: resource(live) };
          const before = JSON.stringify(input);
          const result = threeWayApply(input);
          scribble(result);
          expect(JSON.stringify(input)).toBe(before);
        }),
      );
    });

    it('never pollutes a prototype', () => {
      const hostile = JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}') as unknown;
      const result = threeWayApply({ last: { spec: hostile }, manifest: { spec: { a: hostile } }, live: { spec: hostile } }) as {
        spec: object;
      };
      expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
      expect((result.spec as Record<string, unknown>)['polluted']).toBeUndefined();
    });
  });
});

describe('applyManifest', () => {
  it('remembers the manifest in the annotation and reads it from there', () => {
    const first = applyManifest({ manifest: { metadata: { name: 'a' }, spec: { a: 1, b: 1 } } });
    expect(first).toEqual({
      metadata: { name: 'a', annotations: { 'rune.dev/last-applied': '{"metadata":{"name":"a"},"spec":{"a":1,"b":1}}' } },
      spec: { a: 1, b: 1 },
    });
    const changed = cloneJson(first) as { spec: Record<string, number> };
    changed.spec = { ...changed.spec, theirs: 1 };
    expect(applyManifest({ manifest: { metadata: { name: 'a' }, spec: { a: 2 } }, live: changed })).toMatchObject({
      spec: { a: 2, theirs: 1 },
    });
    expect((applyManifest({ manifest: { spec: { a: 2 } }, live: changed }) as { spec: object }).spec).not.toHaveProperty('b');
  });

  it('keeps the annotations of others, and its own when the manifest names annotations no more', () => {
    const first = applyManifest({ manifest: { metadata: { annotations: { mine: '1' } } } }) as {
      metadata: { annotations: Record<string, string> };
    };
    first.metadata.annotations['theirs'] = '1';
    const next = applyManifest({ manifest: { metadata: {} }, live: first }) as typeof first;
    expect(next.metadata.annotations).toEqual({ theirs: '1', [LAST_APPLIED_ANNOTATION]: '{"metadata":{}}' });
  });

  it('ignores an annotation that the manifest itself carries', () => {
    const next = applyManifest({ manifest: { metadata: { annotations: { [LAST_APPLIED_ANNOTATION]: '{"spec":{"evil":1}}' } }, spec: {} } });
    expect(decodeLastApplied(next)).toEqual({ metadata: {}, spec: {} });
  });

  it('takes a damaged annotation as none', () => {
    for (const text of ['{', '[]', 'null', '"x"', '']) {
      const live = { metadata: { annotations: { [LAST_APPLIED_ANNOTATION]: text } }, spec: { a: 9, theirs: 1 } };
      expect(applyManifest({ manifest: { spec: { a: 1 } }, live })).toMatchObject({ spec: { a: 1, theirs: 1 } });
    }
  });

  it('keeps no secret in the annotation, yet removes the keys that the manifest stopped naming', () => {
    const sensitivePaths = [
      ['data', '*'],
      ['spec', 'users', '*', 'password'],
    ];
    const manifest = { data: { password: 'hunter2', token: 'abc' }, spec: { users: [{ name: 'a', password: 'hunter2' }] } };
    const first = applyManifest({ manifest, sensitivePaths }) as {
      metadata: { annotations: Record<string, string> };
      data: Record<string, string>;
    };
    const text = first.metadata.annotations[LAST_APPLIED_ANNOTATION] as string;
    expect(text).not.toContain('hunter2');
    expect(text).not.toContain('abc');
    expect(first.data).toEqual({ password: 'hunter2', token: 'abc' });
    expect(applyManifest({ manifest, live: first, sensitivePaths })).toEqual(first);
    first.data['theirs'] = 'x';
    const next = applyManifest({ manifest: { ...manifest, data: { password: 'changed' } }, live: first, sensitivePaths }) as typeof first;
    expect(next.data).toEqual({ password: 'changed', theirs: 'x' });
  });
});

describe('encodeLastApplied', () => {
  it('gives one text whatever the order of the keys', () => {
    expect(encodeLastApplied({ spec: { b: 1, a: [{ d: 1, c: 2 }] }, kind: 'X' })).toBe('{"kind":"X","spec":{"a":[{"c":2,"d":1}],"b":1}}');
  });

  it('leaves out status, what the store sets, and undefined', () => {
    const manifest = {
      metadata: { name: 'a', uid: 'u', resourceVersion: '1', managedFields: [] },
      spec: { a: undefined },
      status: { x: 1 },
    };
    expect(encodeLastApplied(manifest)).toBe('{"metadata":{"name":"a"},"spec":{}}');
  });
});

/** Changes every object and array of a value in place. */
function scribble(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  for (const inner of Object.values(value)) scribble(inner);
  if (Array.isArray(value)) value.push('scribbled');
  else (value as Record<string, unknown>)['scribbled'] = true;
}
