import { type FileHandle, open, readFile } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { InputError, messageOf } from '../errors.ts';

const checksum = (text: string): string => crc32(text).toString(16).padStart(8, '0');
const lineOf = (entry: unknown): string => {
  const text = JSON.stringify(entry);
  return `{"check":"${checksum(text)}","entry":${text}}\n`;
};
/** @returns the entry, or undefined where the line is torn or damaged */
function parseLine(line: string): { entry: unknown } | undefined {
  const [, check, text] = /^\{"check":"([0-9a-f]{8})","entry":(.*)\}$/.exec(line) ?? [];
  if (text === undefined || checksum(text) !== check) return undefined;
  try { return { entry: JSON.parse(text) as unknown }; } catch { return undefined; }
}

/**
 * One JSON object a line, each with a checksum, each flushed to the disk before `append` returns. A process or machine that dies while it
 * writes leaves a torn last line, which is dropped when the journal is opened again.
 */
export class Journal {
  readonly path: string;
  private readonly file: FileHandle;
  private length: number;

  private constructor(path: string, file: FileHandle, length: number) {
    this.path = path;
    this.file = file;
    this.length = length;
  }

  /**
   * Opens a journal, making it where there is none.
   * @returns the journal and the entries it holds
   * @throws {InputError} when a line before the last is damaged: that is no torn write
   */
  static async open(path: string): Promise<{ journal: Journal; entries: unknown[] }> {
    try {
      const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => { if (error.code === 'ENOENT') return Buffer.alloc(0); throw error; });
      const { entries, length } = readEntries(bytes, path);
      const file = await open(path, 'a');
      if (length < bytes.length) { await file.truncate(length); await file.sync(); }
      return { journal: new Journal(path, file, length), entries };
    } catch (error) {
      throw error instanceof InputError ? error : new InputError(`Can't open the journal ${path}: ${messageOf(error)}.`, { cause: error });
    }
  }

  /** Adds an entry; it is on the disk when this returns. @throws {InputError} when it can't be written; the journal then ends with the entry before */
  async append(entry: unknown): Promise<void> {
    const bytes = Buffer.from(lineOf(entry));
    try {
      if ((await this.file.stat()).nlink === 0) throw new Error('it was deleted while the run went on');
      for (let at = 0; at < bytes.length;) at += (await this.file.write(bytes, at)).bytesWritten;
      await this.file.sync();
      this.length += bytes.length;
    } catch (error) {
      await this.file.truncate(this.length).catch(() => undefined);
      throw new InputError(`Can't write the journal ${this.path}: ${messageOf(error)}. Everything before is kept: make room or restore the folder, then resume the run.`, { cause: error });
    }
  }

  async close(): Promise<void> { await this.file.close(); }
}

function readEntries(bytes: Uint8Array, path: string): { entries: unknown[]; length: number } {
  const entries: unknown[] = [];
  let length = 0, damagedLine = 0;
  for (let start = 0, line = 1; start < bytes.length; line++) {
    const end = bytes.indexOf(10, start);
    const parsed = end < 0 ? undefined : parseLine(Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8'));
    start = end < 0 ? bytes.length : end + 1;
    if (!parsed) damagedLine ||= line;
    else if (damagedLine > 0) throw new InputError(`Line ${damagedLine} of the journal ${path} is damaged, and others follow it. Restore the file, or delete that line and all after it to go on from there.`);
    else { entries.push(parsed.entry); length = start; }
  }
  return { entries, length };
}

/** The entries of a journal that another process may be writing; a torn end is left out. */
export async function readJournal(path: string): Promise<unknown[]> {
  try { return readEntries(await readFile(path), path).entries; } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error instanceof InputError ? error : new InputError(`Can't read the journal ${path}: ${messageOf(error)}.`, { cause: error });
  }
}
