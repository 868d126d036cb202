export { Correlator } from './correlator.js';
export { eventDefaults } from './defaults.js';
export { EventWriter } from './writer.js';
