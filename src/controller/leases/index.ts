export { LeaderElector } from './elector.js';
export { fencedStore, fencedTransaction } from './fence.js';
export { electionOf, type Election, type LeaderElectionOptions } from './options.js';
