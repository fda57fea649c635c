/**
 * Hostile input and kills, the long form of test/unit/faults: node scripts/run.mjs bench/faults.ts [--inputs 10000] [--kills 50]
 * Prints what was tried and what failed; exit status 1 on any crash, hang, unclear error, unbounded memory or lost run.
 */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Random } from '../src/engine/numerics/random.ts';
import { makeNode } from '../src/engine/onnx/attributes.ts';
import { buildModel, valueInfo } from '../src/engine/onnx/buildModel.ts';
import { saveModel } from '../src/engine/onnx/modelFile.ts';
import { floatTensor } from '../src/engine/onnx/tensor.ts';
import { hostileTargets, type Outcome, tryHostile } from '../test/support/hostileInput.ts';
import { npy, npz } from '../test/support/npy.ts';

const hangSeconds = 30, memoryLimitMb = 1500;
interface Message { readonly target: number; readonly seed: number; readonly outcome?: Outcome; readonly rssMb: number }

/** Tries inputs from one on, in a process that may crash or hang without harm. */
async function child(folder: string, target: number, from: number, to: number): Promise<void> {
  const targets = await hostileTargets(join(folder, `good-${process.pid}`));
  for (let seed = from; seed < to; seed++) {
    const rss = (): number => process.resourceUsage().maxRSS / 1024;
    process.send!({ target, seed, rssMb: rss() } satisfies Message);
    process.send!({ target, seed, outcome: await tryHostile(targets[target]!, seed, join(folder, `try-${process.pid}`)), rssMb: rss() } satisfies Message);
  }
  process.disconnect();
}

interface Tally { tried: number; refused: number; crashes: number; hangs: number; unclear: number; peakMb: number }

/** Runs one child from `from` on until it ends; returns the seed to go on with. */
function watch(folder: string, target: number, name: string, from: number, to: number, tally: Tally): Promise<number> {
  return new Promise((resolve) => {
    const worker: ChildProcess = fork(process.argv[1]!, ['child', folder, String(target), String(from), String(to)], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], execArgv: [] });
    let seed = from - 1, finished = from - 1, hung = false, stderr = '';
    const onHang = (): void => { hung = true; worker.kill('SIGKILL'); };
    let watchdog = setTimeout(onHang, hangSeconds * 1000);
    worker.stderr!.on('data', (chunk: Buffer) => { stderr = (stderr + chunk.toString()).slice(-2000); });
    worker.on('message', ({ seed: at, outcome, rssMb }: Message) => {
      clearTimeout(watchdog);
      watchdog = setTimeout(onHang, hangSeconds * 1000);
      seed = at;
      tally.peakMb = Math.max(tally.peakMb, rssMb);
      if (outcome === undefined) return;
      finished = at;
      tally.tried++;
      if (outcome === 'refused') tally.refused++;
      if (typeof outcome === 'object') { tally.unclear++; console.log(`UNCLEAR ${name}, seed ${at}: ${outcome.unclear}`); }
    });
    worker.on('exit', (code, signal) => {
      clearTimeout(watchdog);
      if (finished === to - 1 && code === 0) { resolve(to); return; }
      tally.tried++;
      if (hung) { tally.hangs++; console.log(`HANG ${name}, seed ${seed}`); } else { tally.crashes++; console.log(`CRASH ${name}, seed ${seed}: ${signal ?? code} ${stderr}`); }
      resolve(Math.max(seed, from) + 1);
    });
  });
}

async function hostileInputs(inputs: number): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'auto-compress-faults-'));
  const names = (await hostileTargets(join(folder, 'good'))).map(({ name }) => name);
  const each = Math.ceil(inputs / names.length), tally: Tally = { tried: 0, refused: 0, crashes: 0, hangs: 0, unclear: 0, peakMb: 0 };
  for (const [target, name] of names.entries()) for (let seed = 0; seed < each;) seed = await watch(folder, target, name, seed, each, tally);
  await rm(folder, { recursive: true, force: true });
  console.log(`inputs tried ${tally.tried} of ${names.length} kinds: ${tally.refused} refused clearly, ${tally.crashes} crashes, ${tally.hangs} hangs, ${tally.unclear} unclear errors, peak memory ${tally.peakMb.toFixed(0)} MB (limit ${memoryLimitMb})`);
  return tally.crashes + tally.hangs + tally.unclear === 0 && tally.peakMb < memoryLimitMb;
}

/** A small network and images, on which a run takes seconds. */
async function smallTask(folder: string): Promise<{ model: string; data: string }> {
  const random = new Random(1), weights = (name: string, dims: number[]) => floatTensor(name, dims, Float32Array.from({ length: dims.reduce((a, b) => a * b) }, () => random.normal(0, Math.sqrt(2 / dims.slice(1).reduce((a, b) => a * b, 1)))));
  const model = join(folder, 'small.onnx'), data = join(folder, 'data.npz');
  await saveModel(buildModel({
    nodes: [
      makeNode('Conv', ['x', 'w1'], ['a1'], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }), makeNode('Relu', ['a1'], ['r1']), makeNode('Conv', ['r1', 'w2'], ['a2'], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }), makeNode('Relu', ['a2'], ['r2']),
      makeNode('Conv', ['r2', 'w3'], ['a3'], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }), makeNode('Relu', ['a3'], ['r3']), makeNode('GlobalAveragePool', ['r3'], ['p']), makeNode('Flatten', ['p'], ['f']), makeNode('Gemm', ['f', 'w4'], ['y'], { transB: 1 }),
    ],
    initializers: [weights('w1', [16, 3, 3, 3]), weights('w2', [16, 16, 3, 3]), weights('w3', [16, 16, 3, 3]), weights('w4', [10, 16])],
    inputs: [valueInfo('x', ['n', 3, 12, 12], 1)], outputs: [valueInfo('y', ['n', 10], 1)],
  }), model);
  await writeFile(data, npz({ images: npy('|u1', [400, 3, 12, 12], Uint8Array.from({ length: 400 * 432 }, () => random.integer(256))) }, 0));
  return { model, data };
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
async function killedRuns(kills: number): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'auto-compress-kills-'));
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
  await rm(folder, { recursive: true, force: true });
  console.log(`kills survived ${killed - lost} of ${killed} (${finished} runs of ${(runMs / 1000).toFixed(1)} s, each ending in the undisturbed run's file)`);
  return lost === 0;
}

if (process.argv[2] === 'child') await child(process.argv[3]!, ...(process.argv.slice(4).map(Number) as [number, number, number]));
else {
  const { values } = parseArgs({ options: { inputs: { type: 'string', default: '10000' }, kills: { type: 'string', default: '50' } } });
  const good = [Number(values.inputs) === 0 || await hostileInputs(Number(values.inputs)), Number(values.kills) === 0 || await killedRuns(Number(values.kills))];
  process.exitCode = good.every(Boolean) ? 0 : 1;
}
