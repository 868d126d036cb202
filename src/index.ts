/** The face of the package: all that is needed to define resources, keep them, watch them and act on them. */
export * from './schemas/index.js';
export * from './store/index.js';
export * from './informer/index.js';
export * from './controller/index.js';

// Where two parts use one name: the short name goes to the part where users meet it most.
export type { Cause } from './schemas/index.js';
export type { Cause as ReconcileCause } from './controller/index.js';
export type { WaitOptions } from './informer/index.js';
