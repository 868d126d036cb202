/** The parts under the queue, against plain sorted lists; and the state table. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DelayHeap } from '../../../src/controller/queue/delay-heap.js';
import { hashOf, KeyIndex } from '../../../src/controller/queue/key-index.js';
import { KeyTable } from '../../../src/controller/queue/key-table.js';
import { NONE } from '../../../src/controller/queue/no-row.js';
import { Band } from '../../../src/controller/queue/band.js';
import { SortedBands } from '../../../src/controller/queue/sorted-bands.js';
import { events, next, states, transitions } from '../../../src/controller/queue/state-table.js';

describe('DelayHeap', () => {
  it('gives rows by due and then by order, whatever is set again or removed (P)', () => {
    const move = fc.oneof(
      { weight: 5, arbitrary: fc.record({ type: fc.constant('set' as const), row: fc.nat(99), due: fc.nat(40) }) },
      { weight: 2, arbitrary: fc.record({ type: fc.constant('remove' as const), row: fc.nat(120) }) },
      { weight: 1, arbitrary: fc.record({ type: fc.constant('pop' as const) }) },
    );
    fc.assert(
      fc.property(fc.array(move, { maxLength: 300 }), (moves) => {
        const heap = new DelayHeap();
        let model: { row: number; due: number; order: number }[] = [];
        const first = (): number => model.sort((a, b) => a.due - b.due || a.order - b.order)[0]?.row ?? NONE;
        for (const [order, step] of moves.entries()) {
          const row = step.type === 'pop' ? first() : step.row;
          if (step.type === 'set') {
            heap.set(step.row, step.due);
            model = [...model.filter((entry) => entry.row !== row), { row, due: step.due, order }];
          } else if (row !== NONE) {
            heap.remove(row);
            model = model.filter((entry) => entry.row !== row);
          }
          expect(heap.peek()).toBe(first());
          expect(heap.size).toBe(model.length);
          if (row !== NONE) expect(heap.has(row)).toBe(model.some((entry) => entry.row === row));
        }
        const order = model.map((entry) => entry.row);
        expect([...order].reverse().sort((a, b) => heap.compare(a, b))).toEqual(order);
        for (const row of order) {
          expect(heap.peek()).toBe(row);
          heap.remove(row);
        }
        expect(heap.size).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});

describe('SortedBands', () => {
  it('holds any number of bands in order (P)', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ priority: fc.integer({ min: 0, max: 3000 }), add: fc.boolean() }), { minLength: 600, maxLength: 3000 }),
        (moves) => {
          const sorted = new SortedBands();
          const model = new Map<number, Band>();
          for (const { priority, add } of moves) {
            expect(sorted.find(priority)).toBe(model.get(priority));
            const known = model.get(priority);
            if (known === undefined) model.set(priority, sorted.insert(new Band(priority)));
            else if (!add) {
              sorted.remove(known);
              model.delete(priority);
            }
          }
          const seen: number[] = [];
          sorted.forEachDown((band) => seen.push(band.priority) > 0);
          expect(seen).toEqual([...model.keys()].sort((a, b) => b - a));
          expect(sorted.count).toBe(model.size);
        },
      ),
      { numRuns: 20 },
    );
  });
});

describe('KeyIndex', () => {
  it('finds what a Map finds, whatever comes and goes (P)', () => {
    const move = fc.record({ key: fc.string({ maxLength: 2 }), remove: fc.boolean() });
    fc.assert(
      fc.property(fc.integer(), fc.array(move, { maxLength: 400, size: 'max' }), (seed, moves) => {
        const index = new KeyIndex(seed);
        const model = new Map<string, number>();
        const keys: string[] = [];
        for (const { key, remove } of moves) {
          const known = model.get(key);
          expect(index.find(keys, key)).toBe(known ?? NONE);
          if (known === undefined) {
            expect(index.findOrAdd(keys, key, keys.length)).toBe(keys.length);
            model.set(key, keys.push(key) - 1);
          } else if (remove) {
            index.remove(known);
            model.delete(key);
          } else expect(index.findOrAdd(keys, key, keys.length)).toBe(known);
        }
        expect(index.size).toBe(model.size);
        for (const [key, row] of model) expect(index.find(keys, key)).toBe(row);
      }),
      { numRuns: 200 },
    );
  });

  it('tells keys apart that share a hash: among 300,000 some do', () => {
    const index = new KeyIndex(7);
    const keys = Array.from({ length: 300_000 }, (_, row) => `namespace-${row % 7}/name-${row}`);
    const rows = (): number => keys.filter((key, row) => index.find(keys, key) === row).length;
    for (const [row, key] of keys.entries()) index.findOrAdd(keys, key, row);
    expect(rows()).toBe(keys.length);
    for (let row = 0; row < keys.length; row += 2) index.remove(row);
    expect(rows()).toBe(keys.length / 2);
    expect(index.size).toBe(keys.length / 2);
  });

  it('spreads keys that differ in a digit or two as chance would, under any seed (P)', () => {
    const shape = fc.constantFrom<(index: number) => string>(
      (index) => `prod/service-${index}`,
      (index) => `${index}/web`,
      (index) => `ns-${index % 100}/name-${Math.floor(index / 100)}`,
      (index) => index.toString(2),
    );
    fc.assert(
      fc.property(fc.integer(), shape, (seed, keyOf) => {
        const places = new Set<number>();
        for (let index = 0; index < 4096; index += 1) places.add(hashOf(keyOf(index), seed) & 4095);
        // Thrown at random, 4,096 keys fall into 63.2 % of as many places, give or take half a percent.
        expect(places.size / 4096).toBeGreaterThan(0.6);
      }),
      { numRuns: 100 },
    );
  });
});

describe('KeyTable', () => {
  it('gives a freed row to the next key, clean', () => {
    const table = new KeyTable(1);
    const row = table.rowOf('a');
    table.setPriority(row, 5);
    table.setCause(row, 'why');
    table.free(row);
    expect(table.find('a')).toBe(NONE);
    expect(table.rowOf('b')).toBe(row);
    expect(table.rowOf('b')).toBe(row);
    expect([table.keys[row], table.state[row], table.priority?.[row], table.causes?.[row]]).toEqual(['b', states.idle, 0, undefined]);
    expect([table.find('a'), table.find('b'), table.used]).toEqual([NONE, row, 1]);
  });

  it('finds a key however its string was put together', () => {
    const table = new KeyTable(1);
    const [namespace, name] = ['namespace'.repeat(3), 'name'.repeat(5)];
    const row = table.rowOf(`${namespace}/${name}`);
    const empty = table.rowOf('');
    expect(table.find([namespace, name].join('/'))).toBe(row);
    expect(table.find(`-${namespace}/${name}`.slice(1))).toBe(row);
    expect(table.find('')).toBe(empty);
    expect(table.find(`${namespace}/${name}s`)).toBe(NONE);
    // What is no string is found to be missing here, and refused where it would be stored.
    expect(table.find(5 as unknown as string)).toBe(NONE);
  });

  it('keeps every column while it grows', () => {
    const table = new KeyTable(1);
    const first = table.rowOf('first');
    table.setPriority(first, -3);
    table.setCause(first, 'why');
    table.countFailure(first);
    table.setDirtySince(first, 7);
    table.setNotBefore(first, 9);
    for (let index = 0; index < 10_000; index += 1) table.rowOf(`key-${index}`);
    expect([
      table.priority?.[first],
      table.causes?.[first],
      table.failuresOf(first),
      table.dirtySince?.[first],
      table.notBefore?.[first],
    ]).toEqual([-3, 'why', 1, 7, 9]);
    expect(table.failuresOf(10_000)).toBe(0);
  });
});

describe('state table', () => {
  it('is the same as bytes', () => {
    for (const from of Object.keys(states) as (keyof typeof states)[]) {
      for (const event of Object.keys(events) as (keyof typeof events)[]) {
        expect(next[(states[from] << 3) | events[event]]).toBe(states[transitions[from][event] ?? from]);
      }
    }
  });

  it('keeps a key with its worker until done, and lets take and done do nothing else', () => {
    const withWorker = ['processing', 'processingDelayed', 'dirty'];
    for (const [from, row] of Object.entries(transitions)) {
      for (const [event, to] of Object.entries(row)) {
        const before = withWorker.includes(from);
        const after = withWorker.includes(to);
        expect([from, event, before !== after]).toEqual([from, event, event === 'take' || event === 'done']);
      }
    }
  });
});
