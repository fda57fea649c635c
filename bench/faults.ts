/**
 * Hostile input and kills, the long form of test/unit/faults: node scripts/run.mjs bench/faults.ts [--inputs 10000] [--fuzz-seconds 15] [--kills 50]
 * Prints what was tried and what failed; exit status 1 on any crash, hang, unclear error, leak, unbounded memory or lost run.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Random } from '../src/engine/numerics/random.ts';
import { hostileTargets, type Outcome, tryHostile } from '../test/support/hostileInput.ts';
import { smallTask } from '../test/support/smallTask.ts';
import { memoryLimitMb, watchChild } from './faultChild.ts';
import { fuzzChild, fuzzReaders } from './fuzz.ts';

/** What a child holds once it is warm, and at its end. */
interface Held { readonly files: number; readonly handles: number; /** JavaScript's memory after a collection. */ readonly heapMb: number; readonly rssMb: number }
interface Message { readonly seed: number; readonly outcome?: Outcome; readonly held?: Held }

/** Inputs after which everything is loaded that loads itself; half of a child's where it has few. */
const warmInputs = 100;
/** Growth of JavaScript's memory, from the warm state to the end of a child, that counts as a leak. */
const heapLeakMb = 20;

async function held(): Promise<Held> {
  for (let round = 0; round < 2; round++) { // what the first frees of buffers is given back later
    (globalThis as { gc?: () => void }).gc?.();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  const files = await readdir('/proc/self/fd').then((names) => names.length, () => 0); // where the system tells
  return { files, handles: process.getActiveResourcesInfo().length, heapMb: (heapUsed + external) / 2 ** 20, rssMb: rss / 2 ** 20 };
}

/** Tries inputs from one on, in a process that may crash or hang without harm. */
async function child(folder: string, index: number, from: number, to: number): Promise<void> {
  const target = (await hostileTargets(join(folder, `good-${process.pid}`)))[index]!;
  const send = (message: Message): void => { process.send!(message); };
  for (let seed = from; seed < to; seed++) {
    send({ seed });
    send({ seed, outcome: await tryHostile(target, seed, join(folder, `try-${process.pid}`)) });
    if (seed === from + Math.min(warmInputs, Math.floor((to - from) / 2)) || seed === to - 1) send({ seed, held: await held() });
  }
  process.disconnect();
}

interface Tally { tried: number; refused: number; crashes: number; hangs: number; memory: number; unclear: number; leaks: number; peakMb: number; mostGrownMb: number }

/** Runs one child from `from` on until it ends; returns the seed to go on with. */
async function watch(folder: string, index: number, name: string, from: number, to: number, tally: Tally): Promise<number> {
  let seed = from - 1, finished = from - 1, warm: Held | undefined;
  const scratch = join(folder, `scratch-${index}-${from}`);
  const leak = (what: string): void => { tally.leaks++; console.log(`LEAK ${name}, seed ${seed}: ${what}`); };
  await mkdir(scratch);
  const { ended, peakMb, stderr } = await watchChild(['child', folder, String(index), String(from), String(to)], (message) => {
    const { seed: at, outcome, held: now } = message as Message;
    seed = at;
    if (now && !warm) warm = now;
    else if (now && warm) {
      tally.mostGrownMb = Math.max(tally.mostGrownMb, now.rssMb - warm.rssMb);
      if (now.files > warm.files) leak(`${now.files - warm.files} open files more than after ${warmInputs} inputs`);
      if (now.handles > warm.handles) leak(`${now.handles - warm.handles} handles more than after ${warmInputs} inputs`);
      if (now.heapMb - warm.heapMb > heapLeakMb) leak(`${(now.heapMb - warm.heapMb).toFixed(0)} MB of JavaScript's memory more than after ${warmInputs} inputs`);
    }
    if (outcome === undefined) return;
    finished = at;
    tally.tried++;
    if (outcome === 'refused') tally.refused++;
    else if (typeof outcome === 'object' && 'left' in outcome) leak(`files left beside the input: ${outcome.left}`);
    else if (typeof outcome === 'object') { tally.unclear++; console.log(`UNCLEAR ${name}, seed ${at}: ${outcome.unclear}`); }
  }, scratch);
  tally.peakMb = Math.max(tally.peakMb, peakMb);
  const left = await readdir(scratch);
  if (left.length > 0) leak(`left in the folder for temporary files: ${left.join(', ')}`);
  if (finished === to - 1 && ended === 'done') return to;
  tally.tried++;
  if (ended === 'hang') tally.hangs++; else if (ended === 'memory') tally.memory++; else tally.crashes++;
  console.log(`${ended === 'done' ? 'ENDED EARLY' : ended.toUpperCase()} ${name}, seed ${seed}: ${stderr}`);
  return Math.max(seed, from) + 1;
}

async function hostileInputs(folder: string, inputs: number): Promise<boolean> {
  const names = (await hostileTargets(join(folder, 'good'))).map(({ name }) => name);
  const each = Math.ceil(inputs / names.length), tally: Tally = { tried: 0, refused: 0, crashes: 0, hangs: 0, memory: 0, unclear: 0, leaks: 0, peakMb: 0, mostGrownMb: 0 };
  for (const [index, name] of names.entries()) for (let seed = 0; seed < each;) seed = await watch(folder, index, name, seed, each, tally);
  console.log(`inputs tried ${tally.tried} of ${names.length} kinds: ${tally.refused} refused clearly, ${tally.crashes} crashes, ${tally.hangs} hangs, ${tally.memory} ended at the memory limit, ${tally.unclear} unclear errors, peak memory ${tally.peakMb.toFixed(0)} MB (limit ${memoryLimitMb})`);
  console.log(`leaks ${tally.leaks} (files left beside an input or in the temporary folder; open files, handles and more than ${heapLeakMb} MB of JavaScript's memory from input ${warmInputs} to the last of a child; resident memory grew by ${tally.mostGrownMb.toFixed(0)} MB at most)`);
  return tally.crashes + tally.hangs + tally.memory + tally.unclear + tally.leaks === 0;
}

const sha256 = async (path: string): Promise<string> => createHash('sha256').update(await readFile(path)).digest('hex');

/** Runs the command line; kills it after some milliseconds where asked. @returns whether it finished with status 0 */
function cli(args: readonly string[], killAfterMs?: number): Promise<'done' | 'killed' | 'failed'> {
  return new Promise((resolve) => {
    const run = spawn(process.execPath, ['dist/cli.js', ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    run.stderr.on('data', (chunk: Buffer) => { stderr += chunk.toString(); });
    const timer = killAfterMs === undefined ? undefined : setTimeout(() => run.kill('SIGKILL'), killAfterMs);
    run.on('exit', (status, signal) => {
      clearTimeout(timer);
      if (status !== 0 && signal !== 'SIGKILL') console.log(`FAILED ${args.join(' ')}: ${stderr}`);
      resolve(status === 0 ? 'done' : signal === 'SIGKILL' ? 'killed' : 'failed');
    });
  });
}

/** Kills runs at random moments and resumes them, until `kills` have happened; every finished model must be that of an undisturbed run. */
async function killedRuns(folder: string, kills: number): Promise<boolean> {
  const { model, data } = await smallTask(folder);
  const args = (name: string): string[] => ['compress', model, '--val', data, '--target', 'macs=0.5', '--episodes', '30', '--threads', '1', '--out', join(folder, `${name}.onnx`), '--run-dir', join(folder, name)];
  const start = performance.now();
  if (await cli(args('undisturbed')) !== 'done') return false;
  const runMs = performance.now() - start, wanted = await sha256(join(folder, 'undisturbed.onnx'));
  const random = new Random(2);
  let killed = 0, lost = 0, finished = 0;
  while (killed < kills && lost === 0) {
    const name = `run-${finished}`;
    for (let ended = false; !ended;) {
      const begun = (await readdir(join(folder, name)).catch((): string[] => [])).includes('options.json');
      if (!begun) await rm(join(folder, name), { recursive: true, force: true }); // killed before there was anything to resume
      const outcome = await cli(begun ? ['resume', join(folder, name)] : args(name), killed < kills ? 300 + random.uniform() * runMs : undefined);
      if (outcome === 'killed') killed++; else ended = true;
      if (outcome === 'failed') lost++;
    }
    finished++;
    if (lost === 0 && await sha256(join(folder, `${name}.onnx`)) !== wanted) { lost++; console.log(`LOST ${name}: its model differs from the undisturbed run's`); }
  }
  console.log(`kills survived ${killed - lost} of ${killed} (${finished} runs of ${(runMs / 1000).toFixed(1)} s, each ending in the undisturbed run's file)`);
  return lost === 0;
}

/** Runs one part on a folder of its own, unless it is to be left out. */
async function part(size: number, run: (folder: string, size: number) => Promise<boolean>): Promise<boolean> {
  if (size === 0) return true;
  const folder = await mkdtemp(join(tmpdir(), 'auto-compress-faults-')), start = performance.now();
  try { return await run(folder, size); } finally {
    await rm(folder, { recursive: true, force: true });
    console.log(`  in ${((performance.now() - start) / 60_000).toFixed(1)} minutes`);
  }
}

const [mode, ...rest] = process.argv.slice(2);
if (mode === 'child') await child(rest[0]!, ...(rest.slice(1).map(Number) as [number, number, number]));
else if (mode === 'fuzz-child') await fuzzChild(rest[0]!, ...(rest.slice(1).map(Number) as [number, number]));
else {
  const { values } = parseArgs({ options: { inputs: { type: 'string', default: '10000' }, 'fuzz-seconds': { type: 'string', default: '15' }, kills: { type: 'string', default: '50' } } });
  const good = [await part(Number(values.inputs), hostileInputs), await part(Number(values['fuzz-seconds']), fuzzReaders), await part(Number(values.kills), killedRuns)];
  process.exitCode = good.every(Boolean) ? 0 : 1;
}
