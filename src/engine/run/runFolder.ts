import { mkdir, readFile, rmdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { identityOf, type Identity } from '../data/identity.ts';
import { InputError, messageOf } from '../errors.ts';
import { writeAtomically } from '../onnx/modelFile.ts';
import { sha256OfModel } from '../onnx/modelIdentity.ts';
import { type CompressOptions, parseCompressOptions, type Report } from '../protocol.ts';
import { type Checkpoint, readCheckpoint, writeCheckpoint } from './checkpoint.ts';
import { Journal, readJournal } from './journal.ts';
import { takeLock } from './lock.ts';
import { ownFiles, removeOwnFiles } from './ownFiles.ts';

const identitySchema = z.object({ path: z.string(), sizeBytes: z.number(), sha256: z.string().regex(/^[0-9a-f]{64}$/) });
const optionsFileSchema = z.object({ format: z.literal('auto-compress/options@1'), created: z.string(), options: z.unknown(), inputs: z.record(z.string(), identitySchema) });

/** Options whose value is a path to something the run depends on. */
const inputOptions = ['model', 'val', 'calibration', 'train'] as const;
type InputOption = (typeof inputOptions)[number];

/**
 * What tells an input from another: of a model all its weights count, wherever they stand.
 * @param where the option belongs, and what it means that there is no such file @throws {InputError} when it can't be read
 */
async function inputIdentity(name: InputOption, path: string, { of = '', missing }: { readonly of?: string; readonly missing: string }): Promise<Identity> {
  try {
    return name === 'model' ? { path, sizeBytes: (await stat(path)).size, sha256: await sha256OfModel(path) } : await identityOf(path);
  } catch (error) {
    if (error instanceof InputError) throw error;
    const { code } = error as NodeJS.ErrnoException, why = code === 'ENOENT' ? missing : messageOf(error);
    throw new InputError(`Can't read ${path} (option ${name}${of}): ${why}.`, { cause: error });
  }
}

/** Writes JSON, atomically. */
export const writeJson = (path: string, value: unknown): Promise<void> => writeAtomically(path, async (file) => { await file.writeFile(`${JSON.stringify(value, undefined, 2)}\n`); });

/** @throws {InputError} when the file is missing, larger than 512 MB, or no JSON */
export async function readJson(path: string): Promise<unknown> {
  try {
    if ((await stat(path)).size > 512 * 2 ** 20) throw new Error('it is too large');
    return JSON.parse(await readFile(path, 'utf8')) as unknown;
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new InputError(`Can't read ${path}: ${missing ? 'there is no such file' : messageOf(error)}.`, { cause: error });
  }
}

/** Everything a run keeps: its options, one journal line an episode, a checkpoint of each step of training, the plan and the report. One process at a time. */
export class RunFolder {
  readonly path: string;
  readonly options: CompressOptions;
  /** What the model and the data were when the run began. */
  readonly inputs: Readonly<Partial<Record<InputOption, Identity>>>;
  /** Journal entries of the run so far, oldest first. */
  readonly entries: readonly unknown[];
  readonly resumed: boolean;
  private readonly journal: Journal;
  private readonly unlock: () => Promise<void>;
  /** The outermost folder that this run made; undefined where its folder was there. */
  private readonly firstMade: string | undefined;
  private unused: boolean;
  private closed = false;

  constructor(path: string, parts: Pick<RunFolder, 'options' | 'inputs' | 'entries' | 'resumed'>, journal: Journal, unlock: () => Promise<void>, firstMade?: string) {
    this.path = path;
    this.firstMade = firstMade;
    this.unused = !parts.resumed;
    ({ options: this.options, inputs: this.inputs, entries: this.entries, resumed: this.resumed } = parts);
    this.journal = journal;
    this.unlock = unlock;
  }

  /** Path of a file of the run: 'plan.json', 'reconstructed.onnx'. */
  file(name: string): string { return join(this.path, name); }
  /** Adds one journal entry; it is on the disk when this returns. */
  async append(entry: unknown): Promise<void> {
    this.unused = false;
    await this.journal.append(entry);
  }
  /** @param step of training, each of which has a checkpoint of its own */
  writeCheckpoint(step: string, checkpoint: Checkpoint): Promise<void> { return writeCheckpoint(this.file(`checkpoint-${step}.bin`), checkpoint); }
  readCheckpoint(step: string): Promise<Checkpoint | undefined> { return readCheckpoint(this.file(`checkpoint-${step}.bin`)); }
  writePlan(plan: unknown): Promise<void> { return writeJson(this.file('plan.json'), plan); }
  /** The plan of a point of the trade-off. @param name which one: 'episode-12', 'uniform' */
  writePointPlan(name: string, plan: unknown): Promise<void> { return writeJson(this.file(`pareto-${name}.plan.json`), plan); }
  writeReport(report: Report): Promise<void> { return writeJson(this.file('report.json'), report); }

  /** Closes a run that failed; where it is new and has nothing to go on from, removes what it made. */
  async abandon(): Promise<void> {
    await this.close();
    if (!this.unused) return;
    await removeOwnFiles(this.path).catch(() => undefined);
    for (let folder = this.path; this.firstMade !== undefined && folder.length >= this.firstMade.length; folder = dirname(folder)) {
      if (!await rmdir(folder).then(() => true, () => false)) break; // not empty
    }
  }

  /** Closes the journal and gives the lock back. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.journal.close();
    await this.unlock();
  }
}

/** What another run left would be taken for this one's, or written over. @throws {InputError} */
async function checkUnused(path: string): Promise<void> {
  const files = await ownFiles(path);
  if (files.includes('options.json')) throw new InputError(`${path} already holds a run. Resume it, or give another folder with --run-dir.`);
  if (files.length > 0) throw new InputError(`${path} holds files with the names of a run's own (${files.join(', ')}). Move them away, or give another folder with --run-dir.`);
}

/** Default run folder: `.auto-compress/MODEL/YYYYMMDD-HHMMSS` beside the model. */
function defaultPath(model: string): string {
  const stamp = new Date().toISOString().replace(/[-:]|\..*$/g, '').replace('T', '-');
  return join(dirname(model), '.auto-compress', basename(model).replace(/\.onnx$/i, ''), stamp);
}

/** @returns the folder, and the outermost folder that had to be made for it */
async function makeFolder(path: string, isDefault: boolean): Promise<{ path: string; firstMade: string | undefined }> {
  const cantMake = (error: unknown): never => { throw new InputError(`Can't make the run folder ${path}: ${messageOf(error)}. ${isDefault ? 'Copy the model to a folder that can be written, or give another run folder' : 'Give another'} with --run-dir.`, { cause: error }); };
  if (!isDefault) {
    return { path, firstMade: await mkdir(path, { recursive: true }).catch(cantMake) };
  }
  const firstMade = await mkdir(dirname(path), { recursive: true }).catch(cantMake);
  for (let attempt = 1; ; attempt++) {
    const candidate = attempt === 1 ? path : `${path}-${attempt}`;
    const made = await mkdir(candidate).then(() => true, (error: NodeJS.ErrnoException) => (error.code === 'EEXIST' && attempt < 1000 ? false : cantMake(error)));
    if (made) return { path: candidate, firstMade: firstMade ?? candidate };
  }
}

/** Makes the folder of a new run and notes what it depends on. @throws {InputError} when an input is missing, or the folder holds a run or can't be made */
export async function createRunFolder(options: CompressOptions): Promise<RunFolder> {
  const inputs: Partial<Record<InputOption, Identity>> = {};
  for (const name of inputOptions) {
    const path = options[name];
    if (path === undefined) continue;
    inputs[name] = await inputIdentity(name, path, { missing: 'there is no such file or folder' });
  }
  const { path, firstMade } = await makeFolder(resolve(options.runDir ?? defaultPath(options.model)), options.runDir === undefined);
  const unlock = await takeLock(join(path, 'lock'));
  try {
    await checkUnused(path); // not before the lock: another run may have begun and ended until then
    await writeJson(join(path, 'options.json'), { format: 'auto-compress/options@1', created: new Date().toISOString(), options: { ...options, runDir: path }, inputs });
    const { journal, entries } = await Journal.open(join(path, 'journal.ndjson'));
    return new RunFolder(path, { options: { ...options, runDir: path }, inputs, entries, resumed: false }, journal, unlock, firstMade);
  } catch (error) {
    await unlock();
    throw error;
  }
}

async function readOptionsFile(path: string): Promise<Pick<RunFolder, 'options' | 'inputs'>> {
  const file = join(path, 'options.json');
  const info = await stat(path).catch(() => undefined);
  if (!info?.isDirectory()) throw new InputError(`There is no run folder ${path}.`);
  const refuse = (why: string, cause: unknown): never => { throw new InputError(`${file} is damaged or from another version (${why}).`, { cause }); };
  const { data, error: wrong } = optionsFileSchema.safeParse(await readJson(file));
  if (!data) return refuse(`"${wrong.issues[0]!.path.join('.')}": ${wrong.issues[0]!.message}`, wrong);
  try { return { options: { ...parseCompressOptions(data.options), runDir: path }, inputs: data.inputs }; } catch (error) { return refuse(messageOf(error).replace(/\.$/, ''), error); }
}

/** @param names of the inputs that matter @throws {InputError} when one is not what the run began with */
export async function checkInputs({ options, inputs }: Pick<RunFolder, 'options' | 'inputs'>, names: readonly InputOption[] = inputOptions): Promise<void> {
  for (const name of names) {
    const path = options[name], before = inputs[name];
    if (path === undefined || !before) continue;
    const now = await inputIdentity(name, path, { of: ' of the run', missing: 'it is gone' });
    if (now.sha256 !== before.sha256) throw new InputError(`${path} (option ${name} of the run) has changed since the run began. Restore it, or start a new run.`);
  }
}

/**
 * Opens a run to go on with it.
 * @throws {InputError} when it is damaged, in use, or its model or data have changed
 */
export async function openRunFolder(runDir: string): Promise<RunFolder> {
  const path = resolve(runDir);
  const { options, inputs } = await readOptionsFile(path);
  await checkInputs({ options, inputs });
  const unlock = await takeLock(join(path, 'lock'));
  try {
    const { journal, entries } = await Journal.open(join(path, 'journal.ndjson'));
    return new RunFolder(path, { options, inputs, entries, resumed: true }, journal, unlock);
  } catch (error) {
    await unlock();
    throw error;
  }
}

/** Reads a run that may be going on in another process: no lock, nothing changed, inputs not checked. */
export async function readRunFolder(runDir: string): Promise<Pick<RunFolder, 'path' | 'options' | 'inputs' | 'entries'>> {
  const path = resolve(runDir);
  return { path, ...await readOptionsFile(path), entries: await readJournal(join(path, 'journal.ndjson')) };
}
