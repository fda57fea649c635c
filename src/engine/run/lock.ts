import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { promisify } from 'node:util';
import { InputError, messageOf } from '../errors.ts';

interface Holder { readonly pid: number; readonly started: string; readonly host: string }

/** When a process started, as text that no other process of the same number has; '' where the system does not tell. Independent of the clock on Linux. */
async function startOf(pid: number): Promise<string> {
  try {
    if (process.platform === 'linux') {
      const [stat, boot] = await Promise.all([readFile(`/proc/${pid}/stat`, 'utf8'), readFile('/proc/sys/kernel/random/boot_id', 'utf8')]);
      return `${boot.trim()} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`; // field 22: ticks after boot
    }
    if (process.platform === 'darwin') return (await promisify(execFile)('ps', ['-o', 'lstart=', '-p', String(pid)])).stdout.trim();
  } catch { /* no such process, or the system does not tell */ }
  return '';
}

function isAlive(pid: number): boolean {
  try { process.kill(pid, 0); return true; } catch (error) { return (error as NodeJS.ErrnoException).code === 'EPERM'; }
}

function parseHolder(text: string): Holder | undefined {
  try {
    const { pid, started, host } = JSON.parse(text) as Partial<Holder>;
    return typeof pid === 'number' && Number.isInteger(pid) && pid > 0 && typeof started === 'string' && typeof host === 'string' ? { pid, started, host } : undefined;
  } catch { return undefined; }
}

/** @returns why the lock is in force; undefined where its holder is gone */
async function whyHeld(text: string): Promise<string | undefined> {
  const holder = parseHolder(text);
  if (!holder) return undefined; // torn: its writer died while it locked
  if (holder.host !== hostname()) return `a process on ${holder.host}`;
  if (!isAlive(holder.pid)) return undefined;
  const started = await startOf(holder.pid);
  return started !== '' && holder.started !== '' && started !== holder.started ? undefined : `process ${holder.pid}`;
}

/** Makes a file that others see whole or not at all. @returns false where there is one already */
async function makeWhole(path: string, text: string): Promise<boolean> {
  const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    await writeFile(temporary, text);
    await link(temporary, path).catch((error: NodeJS.ErrnoException) => { if (error.code === 'EEXIST') throw error; return writeFile(path, text, { flag: 'wx' }); }); // some file systems have no links
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw new InputError(`Can't write ${path}: ${messageOf(error)}.`, { cause: error });
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Gives a lock back when called, and when the process exits (not when it is killed: then the lock is stale). */
function giverBack(path: string, mine: string): () => Promise<void> {
  const giveBack = (): void => {
    process.off('exit', giveBack);
    try { if (readFileSync(path, 'utf8') === mine) rmSync(path, { force: true }); } catch { /* the folder is gone */ }
  };
  process.on('exit', giveBack);
  return () => { giveBack(); return Promise.resolve(); };
}

/**
 * Takes a lock file, so that two processes do not work in one folder. A lock whose process is gone (by number and start time) is taken over.
 * @returns a function that gives the lock back
 * @throws {InputError} names the process that holds it
 */
export async function takeLock(path: string): Promise<() => Promise<void>> {
  const mine = JSON.stringify({ pid: process.pid, started: await startOf(process.pid), host: hostname() } satisfies Holder);
  for (let attempt = 0; attempt < 3; attempt++) {
    if (await makeWhole(path, mine)) return giverBack(path, mine);
    const text = await readFile(path, 'utf8').catch(() => '');
    const holder = await whyHeld(text);
    if (holder) throw new InputError(`The run is in use by ${holder}. Wait for it or stop it; if it is gone, delete ${path}.`);
    // two processes may find the same stale lock: whoever moves it away has it; a fresh lock that was moved by mistake is put back
    const aside = `${path}.${randomBytes(4).toString('hex')}.tmp`;
    if (!await rename(path, aside).then(() => true, () => false)) continue;
    if (await readFile(aside, 'utf8').catch(() => '') !== text) await rename(aside, path).catch(() => undefined);
    else await rm(aside, { force: true });
  }
  throw new InputError(`Several processes want ${path} at once. Try again.`);
}
