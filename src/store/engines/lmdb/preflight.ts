/**
 * Reads the two meta pages of a data file before LMDB sees it: LMDB maps the file and follows what they say, so that a
 * truncated or foreign file would take the process down instead of giving an error.
 *
 *     page: 0 number u64 | 18 flags u16 | 24 meta
 *     meta: 0 magic u32 | 4 version u32 | 24 free tree | 72 main tree | 120 last page u64 | 128 transaction u64
 *     tree: 0 page size u32 (free tree only) | 6 depth u16 | 40 root u64
 *
 * Invariants: the meta of transaction n is on page n % 2; the file holds every page the newer meta can reach. A file that is
 * shorter than its last page tells is sound only if the missing pages are free, so then the trees are walked.
 */
import type { FileHandle } from 'node:fs/promises';
import { CorruptError } from '../../../schemas/index.js';

const MAGIC = 0xbeefc0de;
const DATA_VERSION = 2;
const META = 24;
const META_FLAG = 8;
const META_END = META + 136;
const NO_PAGE = 2n ** 64n - 1n;
const BRANCH = 1;
const LEAF = 2;
const BIG_DATA = 1;
const SUB_TREE = 2;
const NODE_HEADER = 8;
const PAGE_HEADER = 24;

interface Tree {
  readonly depth: number;
  readonly root: bigint;
}

interface Meta {
  readonly pageSize: number;
  readonly trees: readonly Tree[];
  readonly lastPage: number;
  readonly transaction: number;
}

/** Refuses a file that LMDB could not open safely. @throws {CorruptError} */
export async function checkDataFile(file: FileHandle, path: string): Promise<void> {
  const damaged = (why: string): CorruptError => new CorruptError(`the data file ${path} is damaged: ${why}; restore it from a backup`);
  const first = await readMeta(file, 0, 0, damaged);
  const second = await readMeta(file, first.pageSize, 1, damaged);
  if (second.pageSize !== first.pageSize) throw damaged('its meta pages do not agree on the page size');
  // After the metas: a writer extends the file before it writes the meta that needs it.
  const { size } = await file.stat();
  const newer = first.transaction > second.transaction ? first : second;
  // A copy without free pages has one meta page, and an empty one until its first write.
  const isCopy = first.transaction === 0 && first.trees.every(({ root }) => root === NO_PAGE);
  if (newer.transaction > 1 && !isCopy && Math.abs(first.transaction - second.transaction) !== 1)
    throw damaged('its meta pages are not of consecutive transactions');
  for (const { root } of newer.trees) {
    if (root !== NO_PAGE && (root < 2n || root > BigInt(newer.lastPage))) throw damaged('a tree begins outside of it');
  }
  const pages = Math.floor(size / newer.pageSize);
  if (size % newer.pageSize !== 0 && pages <= newer.lastPage) throw damaged(`it was cut off at ${size} bytes`);
  if (pages <= newer.lastPage) await walkTrees(file, newer, pages, damaged);
}

async function read(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await file.read(buffer, 0, length, offset);
  return buffer.subarray(0, bytesRead);
}

async function readMeta(file: FileHandle, offset: number, page: 0 | 1, damaged: (why: string) => Error): Promise<Meta> {
  const bytes = await read(file, offset, META_END);
  if (bytes.length < META_END) throw damaged('it ends before its meta pages do');
  const which = page === 0 ? 'first' : 'second';
  if (bytes.readUInt32LE(META) !== MAGIC) throw damaged(`its ${which} meta page is not one of LMDB`);
  const version = bytes.readUInt32LE(META + 4) & 0xffff;
  if (version !== DATA_VERSION) throw damaged(`its format has version ${version}, this build reads ${DATA_VERSION}`);
  if ((bytes.readUInt16LE(18) & META_FLAG) === 0 || bytes.readBigUInt64LE(0) !== BigInt(page))
    throw damaged(`its ${which} meta page is out of place`);
  const pageSize = bytes.readUInt32LE(META + 24);
  if (pageSize < 512 || pageSize > 65_536 || (pageSize & (pageSize - 1)) !== 0) throw damaged(`a page size of ${pageSize} is impossible`);
  const lastPage = bytes.readBigUInt64LE(META + 120);
  const transaction = bytes.readBigUInt64LE(META + 128);
  if (lastPage < 1n || lastPage > 2n ** 48n) throw damaged(`its ${which} meta page names an impossible last page`);
  if (transaction > 2n ** 48n || (transaction !== 0n && transaction % 2n !== BigInt(page)))
    throw damaged(`its ${which} meta page is of the wrong transaction`);
  const tree = (at: number): Tree => ({ depth: bytes.readUInt16LE(at + 6), root: bytes.readBigUInt64LE(at + 40) });
  return { pageSize, trees: [tree(META + 24), tree(META + 72)], lastPage: Number(lastPage), transaction: Number(transaction) };
}

/** Visits every page that the trees reach, and refuses one that is not in the file. */
async function walkTrees(file: FileHandle, meta: Meta, pages: number, damaged: (why: string) => Error): Promise<void> {
  const { pageSize } = meta;
  const inside = (page: bigint): bigint => {
    if (page < 2n || page >= BigInt(pages)) throw damaged(`it was cut off: page ${page} is in use, and it has ${pages}`);
    return page;
  };
  const waiting = meta.trees.flatMap(({ root }) => (root === NO_PAGE ? [] : [root]));
  let budget = pages;
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (budget-- < 0) throw damaged('its pages form a circle');
    const page = await read(file, Number(inside(next)) * pageSize, pageSize);
    const flags = page.readUInt16LE(18);
    const count = page.readUInt16LE(20) >> 1;
    if ((flags & (BRANCH | LEAF)) === 0 || PAGE_HEADER + count * 2 > pageSize) throw damaged(`page ${next} is not part of a tree`);
    for (let index = 0; index < count; index++) {
      const node = PAGE_HEADER + page.readUInt16LE(PAGE_HEADER + index * 2);
      if (node + NODE_HEADER > pageSize) throw damaged(`page ${next} is not part of a tree`);
      const low = page.readUInt16LE(node);
      const high = page.readUInt16LE(node + 2);
      const nodeFlags = page.readUInt16LE(node + 4);
      if ((flags & BRANCH) !== 0) {
        waiting.push(BigInt(low) | (BigInt(high) << 16n) | (BigInt(nodeFlags) << 32n));
        continue;
      }
      const data = node + NODE_HEADER + page.readUInt16LE(node + 6);
      if ((nodeFlags & BIG_DATA) !== 0) {
        const size = low | (high << 16);
        inside(page.readBigUInt64LE(data) + BigInt(Math.ceil((PAGE_HEADER + size) / pageSize)) - 1n);
      } else if ((nodeFlags & SUB_TREE) !== 0) {
        const root = page.readBigUInt64LE(data + 40);
        if (root !== NO_PAGE) waiting.push(root);
      }
    }
  }
}
