/** Writes one object into a list, others elsewhere, and compacts all of it away, in the store of its argument. */
import { openStore } from '../../../src/store/index.js';

const [, , path = ''] = process.argv;
await using store = await openStore({ path });
await store.create('room', 'x', 'intruder', {});
for (let index = 0; index < 20; index += 1) await store.create('other', 'x', `o${index}`, {});
await store.compact(store.revision);
