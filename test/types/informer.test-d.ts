/** What an informer's options let through and what not. */
import { describe, it } from 'vitest';
import type { Informers } from '../../src/informer/index.js';
import { defineResource, type DeepReadonly, type ObjectMeta } from '../../src/schemas/index.js';
import { check, type Equal } from './expect.js';

declare const informers: Informers;

const Service = defineResource({
  kind: 'Service',
  scope: 'Namespaced',
  spec: { type: 'object', properties: { image: { type: 'string' } }, required: ['image'] },
  indexes: { byImage: (service) => service.spec.image },
});

describe('a transform', () => {
  it('decides what is cached, read and indexed', () => {
    const images = informers.for(Service, {
      transform: ({ metadata, spec }) => ({ metadata, image: spec.image }),
      indexes: { byOwnImage: (kept) => kept.image },
    });
    type Kept = { metadata: DeepReadonly<ObjectMeta>; image: string };
    check<Equal<ReturnType<typeof images.get>, Kept | undefined>>();
    images.byIndex('byOwnImage', 'nginx');
    // @ts-expect-error the definition's own indexes are written for whole objects, and these are not
    images.byIndex('byImage', 'nginx');
    // @ts-expect-error what the transform left out is not there
    void images.get('prod/web')?.spec;
  });

  it('keeps metadata, and gives an object', () => {
    const names = informers.for(Service, { transform: ({ metadata }) => ({ metadata }) });
    check<Equal<ReturnType<typeof names.list>, readonly { metadata: DeepReadonly<ObjectMeta> }[]>>();
    // @ts-expect-error metadata is missing
    informers.for(Service, { transform: ({ spec }) => ({ spec }) });
    // @ts-expect-error metadata is not whole
    informers.for(Service, { transform: ({ metadata }) => ({ metadata: { name: metadata.name } }) });
    // @ts-expect-error nothing is no object
    informers.for(Service, { transform: () => undefined });
    // @ts-expect-error null neither
    informers.for(Service, { transform: () => null });
    // @ts-expect-error nor a promise of one
    informers.for(Service, { transform: async ({ metadata }) => ({ metadata }) });
  });

  it('is given what its indexes are written for', () => {
    const indexed = informers.for(Service, { transform: ({ metadata }) => ({ metadata }), indexes: { byName: (k) => k.metadata.name } });
    check<Equal<Parameters<typeof indexed.byIndex>[0], 'byName'>>();
    informers.for(Service, {
      transform: ({ metadata }) => ({ metadata }),
      // @ts-expect-error the index reads what the transform left out
      indexes: { byOwnImage: (kept) => kept.spec.image },
    });
  });
});
