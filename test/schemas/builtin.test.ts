import { describe, expect, it } from 'vitest';
import {
  builtinTypes,
  Config,
  DeletionOperation,
  Event,
  Instance,
  Lease,
  Namespace,
  RuneEvent,
  ScalingOperation,
  Secret,
  Service,
  validatorOf,
  type AnyDefinition,
} from '../../src/schemas/index.js';

function faultsOf(definition: AnyDefinition, object: object, previous?: object): string[] {
  const validator = validatorOf(definition);
  validator.applyDefaults(object);
  if (previous !== undefined) validator.applyDefaults(previous);
  return validator.causes(object, previous).map((cause) => `${cause.reason} ${cause.field}`);
}

describe('built-in types', () => {
  it('are the nine of the runtime, under their exact names', () => {
    expect(builtinTypes.map((definition) => [definition.type, definition.plural, definition.scope, definition.history !== false])).toEqual([
      ['namespace', 'namespaces', 'Cluster', true],
      ['service', 'services', 'Namespaced', true],
      ['instance', 'instances', 'Namespaced', false],
      ['scaling_operation', 'scalingoperations', 'Namespaced', true],
      ['deletion_operation', 'deletionoperations', 'Namespaced', true],
      ['secret', 'secrets', 'Namespaced', true],
      ['config', 'configs', 'Namespaced', true],
      ['lease', 'leases', 'Namespaced', false],
      ['event', 'events', 'Namespaced', false],
    ]);
    expect(RuneEvent).toBe(Event);
  });

  it('have names that do not collide', () => {
    const names = builtinTypes.flatMap((definition) => [...new Set([definition.type, definition.plural, ...definition.shortNames])]);
    expect(new Set(names).size).toBe(names.length);
  });
});

describe('Service', () => {
  it('needs an image and runs one copy of it', () => {
    const service = { spec: { image: 'web' } };
    expect(faultsOf(Service, service)).toEqual([]);
    expect(service.spec).toEqual({ image: 'web', scale: 1, restartPolicy: 'Always' });
    expect(faultsOf(Service, { spec: {} })).toEqual(['FieldValueRequired spec.image']);
    expect(faultsOf(Service, { spec: { image: 'web', scale: -1 } })).toEqual(['FieldValueInvalid spec.scale']);
    expect(faultsOf(Service, { spec: { image: 'web', scale: 0 } })).toEqual([]);
  });

  it('tells its ports apart by number and protocol', () => {
    expect(faultsOf(Service, { spec: { image: 'dns', ports: [{ port: 53 }, { port: 53, protocol: 'UDP' }] } })).toEqual([]);
    expect(faultsOf(Service, { spec: { image: 'dns', ports: [{ port: 53 }, { port: 53, protocol: 'TCP' }] } })).toEqual([
      'FieldValueDuplicate spec.ports',
    ]);
    expect(faultsOf(Service, { spec: { image: 'dns', ports: [{ port: 0 }] } })).toEqual(['FieldValueInvalid spec.ports[0].port']);
  });

  it('can be scaled and shown', () => {
    expect(Service.subresources).toEqual({ status: true, scale: { spec: '.spec.scale', status: '.status.instances' } });
    expect(Service.columns.map((column) => column.name)).toEqual(['Scale', 'Ready', 'Image']);
    expect(Service.conditions).toEqual(['Ready', 'Progressing']);
  });
});

describe('Instance', () => {
  it('is indexed by service, node and phase', () => {
    const instance = {
      metadata: {},
      spec: { service: 'web', image: 'web', node: 'n1' },
      status: { phase: 'Running', restarts: 0 },
    } as never;
    expect(Object.entries(Instance.indexes).map(([name, index]) => [name, index(instance)])).toEqual([
      ['byService', 'web'],
      ['byNode', 'n1'],
      ['byPhase', 'Running'],
    ]);
    expect(Instance.storeIndexes).toEqual(['spec.service']);
  });

  it('counts restarts from 0 once it has a status', () => {
    const instance = { spec: { service: 'web', image: 'web' }, status: { phase: 'Pending' } };
    expect(faultsOf(Instance, instance)).toEqual([]);
    expect(instance.status).toEqual({ phase: 'Pending', restarts: 0 });
    expect(faultsOf(Instance, { spec: { service: 'web', image: 'web' }, status: { phase: 'Gone' } })).toEqual([
      'FieldValueNotSupported status.phase',
    ]);
  });
});

describe('ScalingOperation', () => {
  const spec = { service: 'web', target: 3 };

  it('is immediate unless it says otherwise', () => {
    const operation = { spec: { ...spec } };
    expect(faultsOf(ScalingOperation, operation)).toEqual([]);
    expect(operation.spec).toEqual({ service: 'web', target: 3, mode: 'immediate', step: 1, interval: '5s', cancelled: false });
  });

  it('can be cancelled and not changed otherwise', () => {
    expect(faultsOf(ScalingOperation, { spec: { ...spec, cancelled: true } }, { spec: { ...spec } })).toEqual([]);
    expect(faultsOf(ScalingOperation, { spec: { ...spec } }, { spec: { ...spec, cancelled: true } })).toEqual([
      'FieldValueForbidden spec.cancelled',
    ]);
    expect(faultsOf(ScalingOperation, { spec: { ...spec, target: 4, step: 2 } }, { spec: { ...spec } })).toEqual([
      'FieldValueForbidden spec.target',
      'FieldValueForbidden spec.step',
    ]);
    expect(faultsOf(ScalingOperation, { spec: { ...spec, cancelled: true, mode: 'gradual' } }, { spec: { ...spec } })).toEqual([
      'FieldValueForbidden spec.mode',
    ]);
    expect(faultsOf(ScalingOperation, { spec: { ...spec } }, { spec: { ...spec } })).toEqual([]);
  });

  it('checks its numbers and its interval', () => {
    expect(faultsOf(ScalingOperation, { spec: { service: 'Web', target: -1, step: 0, interval: 'soon', mode: 'fast' } })).toEqual([
      'FieldValueInvalid spec.service',
      'FieldValueInvalid spec.target',
      'FieldValueNotSupported spec.mode',
      'FieldValueInvalid spec.step',
      'FieldValueInvalid spec.interval',
    ]);
  });
});

describe('DeletionOperation', () => {
  it('names either a service or a target', () => {
    expect(faultsOf(DeletionOperation, { spec: { service: 'web' } })).toEqual([]);
    expect(faultsOf(DeletionOperation, { spec: { target: { type: 'config', name: 'a' } } })).toEqual([]);
    expect(faultsOf(DeletionOperation, { spec: {} })).toEqual(['FieldValueRequired spec']);
    expect(faultsOf(DeletionOperation, { spec: { service: 'web', target: { type: 'config', name: 'a' } } })).toEqual([
      'FieldValueRequired spec',
    ]);
  });

  it('can be cancelled and not changed otherwise', () => {
    expect(faultsOf(DeletionOperation, { spec: { service: 'web', cancelled: true } }, { spec: { service: 'web' } })).toEqual([]);
    expect(faultsOf(DeletionOperation, { spec: { service: 'api' } }, { spec: { service: 'web' } })).toEqual([
      'FieldValueForbidden spec.service',
    ]);
  });
});

describe('Secret', () => {
  it('holds texts and bytes, all of them sensitive', () => {
    const secret = { data: { 'user.name': 'admin' }, binaryData: { cert: 'AQID' } };
    expect(faultsOf(Secret, secret)).toEqual([]);
    expect(secret).toMatchObject({ type: 'Opaque' });
    expect(Secret.sensitivePaths).toEqual([
      ['data', '*'],
      ['binaryData', '*'],
    ]);
    expect(faultsOf(Secret, {})).toEqual([]);
  });

  it('never shows a value that is wrong', () => {
    const causes = validatorOf(Secret).causes({ data: { a: 12345678 }, binaryData: { b: 'hunter2!' } });
    expect(causes.map((cause) => cause.field)).toEqual(['data.a', 'binaryData.b']);
    expect(JSON.stringify(causes)).not.toMatch(/hunter2|12345678/);
  });

  it('checks its keys', () => {
    expect(faultsOf(Secret, { data: { 'a/b': 'x', 'a b': 'y' } })).toEqual(['FieldValueInvalid data', 'FieldValueInvalid data']);
    expect(faultsOf(Secret, { data: { a: 'x' }, binaryData: { a: 'AQID' } })).toEqual(['FieldValueDuplicate binaryData["a"]']);
  });

  it('has no more than 1024 keys of 256 bytes', () => {
    const keys = (count: number): object => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, '']));
    expect(faultsOf(Secret, { data: keys(1024) })).toEqual([]);
    expect(faultsOf(Secret, { data: keys(1025) })).toEqual(['FieldValueTooMany data']);
    expect(faultsOf(Secret, { data: { ['k'.repeat(256)]: '' } })).toEqual([]);
    expect(faultsOf(Secret, { data: { ['k'.repeat(257)]: '' } })).toEqual(['FieldValueTooLong data.*']);
    expect(faultsOf(Config, { data: { ['k'.repeat(257)]: '' } })).toEqual([`FieldValueTooLong data.${'k'.repeat(40)}`]);
    expect(Secret.limits.objectBytes).toBe(1024 * 1024);
  });

  it('that is immutable cannot be changed', () => {
    const before = { immutable: true, data: { a: 'x' } };
    expect(faultsOf(Secret, { immutable: true, data: { a: 'x' } }, { ...before })).toEqual([]);
    expect(faultsOf(Secret, { immutable: true, data: { a: 'y' } }, { ...before })).toEqual(['FieldValueForbidden data']);
    expect(faultsOf(Secret, { data: { a: 'x' } }, { ...before })).toEqual(['FieldValueForbidden immutable']);
    expect(faultsOf(Secret, { immutable: true, type: 'tls', data: { a: 'x' } }, { ...before })).toEqual(['FieldValueForbidden type']);
  });

  it('never changes its type', () => {
    expect(faultsOf(Secret, { type: 'tls' }, { type: 'Opaque' })).toEqual(['FieldValueForbidden type']);
  });
});

describe('Config', () => {
  it('holds the same as a secret, in the clear', () => {
    expect(faultsOf(Config, { data: { a: 'x' }, binaryData: { b: 'AQID' } })).toEqual([]);
    expect(Config.sensitivePaths).toEqual([]);
    expect(Config.limits).toEqual(Secret.limits);
    expect(faultsOf(Config, { immutable: true, data: { a: 'y' } }, { immutable: true, data: { a: 'x' } })).toEqual([
      'FieldValueForbidden data',
    ]);
    expect(faultsOf(Config, { binaryData: { b: '!' } })).toEqual(['FieldValueInvalid binaryData.b']);
  });
});

describe('Namespace, Lease, Event', () => {
  it('may be written with nothing but a name where nothing is needed', () => {
    for (const definition of [Namespace, Lease]) {
      const object = { metadata: { name: 'prod' } };
      expect(faultsOf(definition, object)).toEqual([]);
      expect(object).toEqual({ metadata: { name: 'prod' }, spec: {} });
    }
  });

  it('have, where they are rooms, names that a room can have', () => {
    for (const name of ['all', 'a.b', 'x'.repeat(64)])
      expect(faultsOf(Namespace, { metadata: { name } }), name).toEqual([expect.stringContaining('metadata.name')]);
    // One that is there already can still be changed, and emptied.
    const old = { metadata: { name: 'a.b' } };
    expect(faultsOf(Namespace, { ...old }, { ...old })).toEqual([]);
  });

  it('check what they are given', () => {
    expect(faultsOf(Lease, { spec: { leaseDurationSeconds: 0, renewTime: 'now' } })).toEqual([
      'FieldValueInvalid spec.leaseDurationSeconds',
      'FieldValueInvalid spec.renewTime',
    ]);
    expect(faultsOf(Event, { regarding: { name: 'web' }, type: 'Normal', reason: 'Scaled' })).toEqual([]);
    expect(faultsOf(Event, { regarding: {}, type: 'Bad' })).toEqual([
      'FieldValueRequired reason',
      'FieldValueRequired regarding.name',
      'FieldValueNotSupported type',
    ]);
    expect(faultsOf(Namespace, { status: { phase: 'Gone' } })).toEqual(['FieldValueNotSupported status.phase']);
  });
});
