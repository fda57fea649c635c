import { crc32 } from 'node:zlib';
import { InputError } from '../errors.ts';
import { type ByteSource, inflate, memorySource, partOf, readBytes } from './byteSource.ts';

/** One member of an archive. */
export interface ZipMember { /** What it takes in memory once it is open: nothing where it is stored as it is. */ readonly inflatedBytes: number; readonly open: () => Promise<ByteSource> }
interface Member { readonly name: string; readonly method: number; readonly encrypted: boolean; readonly crc: number; readonly compressed: number; readonly size: number; readonly headerAt: number }

const damaged = (path: string, why: string): InputError => new InputError(`${path} is not a readable .npz (zip) file: ${why}.`);
const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
const maxDirectoryBytes = 64 * 2 ** 20;

/** Where the list of members stands: the end-of-central-directory record, or its 64-bit form (APPNOTE 4.3.14 to 4.3.16). */
async function findDirectory(source: ByteSource, path: string): Promise<{ offset: number; size: number; count: number }> {
  const tailAt = Math.max(0, source.size - 65_557);
  const tail = await readBytes(source, tailAt, 65_557);
  const view = viewOf(tail);
  let end = tail.length - 22;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end--;
  if (end < 0) throw damaged(path, 'it has no list of members; it may be cut short');
  let count = view.getUint16(end + 10, true), size = view.getUint32(end + 12, true), offset = view.getUint32(end + 16, true);
  const locator = end - 20;
  if ((count === 0xffff || size === 0xffffffff || offset === 0xffffffff) && locator >= 0 && view.getUint32(locator, true) === 0x07064b50) {
    const record = viewOf(await readBytes(source, Number(view.getBigUint64(locator + 8, true)), 56));
    if (record.byteLength < 56 || record.getUint32(0, true) !== 0x06064b50) throw damaged(path, 'its 64-bit list of members is missing');
    [count, size, offset] = [Number(record.getBigUint64(32, true)), Number(record.getBigUint64(40, true)), Number(record.getBigUint64(48, true))];
  }
  if (size > maxDirectoryBytes || offset + size > source.size) throw damaged(path, 'its list of members lies outside the file');
  return { offset, size, count };
}

/** Sizes above 4 GB stand in an extra field of 64-bit numbers, in this order, only those that did not fit (APPNOTE 4.5.3). */
function widen(extra: Uint8Array, fields: { size: number; compressed: number; headerAt: number }): typeof fields {
  const view = viewOf(extra);
  for (let at = 0; at + 4 <= extra.length;) {
    const id = view.getUint16(at, true), end = at + 4 + view.getUint16(at + 2, true);
    if (id === 1) {
      let from = at + 4;
      const wide = (value: number): number => {
        if (value !== 0xffffffff || from + 8 > Math.min(end, extra.length)) return value;
        from += 8;
        return Number(view.getBigUint64(from - 8, true));
      };
      return { size: wide(fields.size), compressed: wide(fields.compressed), headerAt: wide(fields.headerAt) };
    }
    at = end;
  }
  return fields;
}

async function readMembers(source: ByteSource, path: string): Promise<Member[]> {
  const directory = await findDirectory(source, path);
  const bytes = await readBytes(source, directory.offset, directory.size);
  const view = viewOf(bytes);
  const members: Member[] = [];
  for (let at = 0; members.length < directory.count;) {
    if (at + 46 > bytes.length || view.getUint32(at, true) !== 0x02014b50) throw damaged(path, 'its list of members is damaged');
    const nameLength = view.getUint16(at + 28, true), extraLength = view.getUint16(at + 30, true), commentLength = view.getUint16(at + 32, true);
    const next = at + 46 + nameLength + extraLength + commentLength;
    if (next > bytes.length) throw damaged(path, 'its list of members is damaged');
    const extra = bytes.subarray(at + 46 + nameLength, at + 46 + nameLength + extraLength);
    members.push({
      name: new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + nameLength)), method: view.getUint16(at + 10, true),
      encrypted: (view.getUint16(at + 8, true) & 1) !== 0, crc: view.getUint32(at + 16, true),
      ...widen(extra, { compressed: view.getUint32(at + 20, true), size: view.getUint32(at + 24, true), headerAt: view.getUint32(at + 42, true) }),
    });
    at = next;
  }
  if (members.reduce((sum, { compressed }) => sum + compressed, 0) > source.size) throw damaged(path, 'its members overlap'); // a few bytes, inflated many times over
  return members;
}

/** The members of a zip file by name; stored ones are read from the file where they stand, deflated ones are inflated once, when opened. */
export async function openZip(source: ByteSource, path: string): Promise<ReadonlyMap<string, ZipMember>> {
  const members = await readMembers(source, path);
  const open = async ({ name, method, encrypted, crc, compressed, size, headerAt }: Member): Promise<ByteSource> => {
    const label = `"${name}" in ${path}`;
    if (encrypted) throw new InputError(`${label} is encrypted.`);
    const header = await readBytes(source, headerAt, 30);
    if (header.length < 30 || viewOf(header).getUint32(0, true) !== 0x04034b50) throw damaged(path, `the member "${name}" is not where the list says`);
    const start = headerAt + 30 + viewOf(header).getUint16(26, true) + viewOf(header).getUint16(28, true);
    if (start + compressed > source.size) throw damaged(path, `the member "${name}" is cut short`);
    if (method === 0) {
      if (compressed !== size) throw damaged(path, `the member "${name}" has two sizes`);
      return partOf(source, start, size, label);
    }
    if (method !== 8) throw new InputError(`${label} is compressed by method ${method}; only stored and deflated members can be read.`);
    const bytes = await inflate(path, { start, compressed }, size, label);
    if (crc32(bytes) !== crc) throw damaged(path, `the checksum of "${name}" is wrong`);
    return memorySource(bytes, label);
  };
  return new Map(members.map((member) => [member.name, { inflatedBytes: member.method === 0 ? 0 : member.size, open: () => open(member) }]));
}
