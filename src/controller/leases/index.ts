export { LeaderElector } from './elector.js';
export { fencedStore } from './fence.js';
export { electionOf, type Election, type LeaderElectionOptions } from './options.js';
