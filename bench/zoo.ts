/**
 * Prunes every graph of ../shared/zoo to half its channels and checks the result: node scripts/run.mjs bench/zoo.ts [--only NAME ...] [--preserve R] [--deep]
 * --deep compares values inside the network too. All branches that can go as a whole are removed in a second step, checked likewise.
 * Each model runs in a process of its own, with its weights filled into a scratch folder that is deleted afterwards.
 */
import { create } from '@bufbuild/protobuf';
import { type GraphProto, type ModelProto, ValueInfoProtoSchema } from 'onnx-buf';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadModel } from '../src/engine/onnx/modelFile.ts';
import { GraphView } from '../src/engine/onnx/graphView.ts';
import { messageOf } from '../src/engine/errors.ts';
import { analyse } from '../src/engine/pruning/analysis.ts';
import { costs } from '../src/engine/pruning/costs.ts';
import { channelOrders } from '../src/engine/pruning/importance.ts';
import { planFrom } from '../src/engine/pruning/plan.ts';
import { applyPlan } from '../src/engine/pruning/surgery.ts';
import { uniformKept } from '../src/engine/pruning/uniform.ts';
import { KeptPositions } from '../src/engine/pruning/keptPositions.ts';
import type { Analysis, KeptUnits } from '../src/engine/pruning/types.ts';
import { Session, type Tensor } from '../src/engine/runtime/session.ts';
import { syntheticInput } from '../src/engine/runtime/shapes.ts';
import { type ZooEntry, fillZooModel, zooEntry, zooFolder } from './zooModel.ts';
import { maskedModel, relativeDifference } from '../test/unit/pruning/maskedEquivalence.ts';

const args = process.argv.slice(2), deep = args.includes('--deep');
type Model = ModelProto & { graph: GraphProto };
interface Row { name: string; kind: string; nodes: number; groups: number; frozen: number; branches: number; layers: number; seconds: number; megabytes: number; macs: number; params: number; difference: number; failure: string; reasons: Record<string, number> }

/** What the model is, for the summary: by what its file holds. */
function kindOf(name: string, { ops }: ZooEntry): string {
  if (!/^(timm|torchvision)__/.test(name)) return name.split('__')[0]!;
  if ((ops['Softmax'] ?? 0) >= 4 && (ops['MatMul'] ?? 0) > 8) return 'transformer';
  return (ops['Conv'] ?? 0) > 0 && (ops['MatMul'] ?? 0) <= 4 && !ops['LSTM'] ? 'convolutional' : 'other';
}

async function check(name: string, preserve: number): Promise<Row> {
  const folder = mkdtempSync(join(tmpdir(), 'zoo-'));
  const entry = zooEntry(name);
  const row: Row = { name, kind: kindOf(name, entry), nodes: entry.nodes, groups: 0, frozen: 0, branches: 0, layers: 0, seconds: 0, megabytes: 0, macs: NaN, params: NaN, difference: NaN, failure: '', reasons: {} };
  let step = 'fill';
  try {
    const path = await fillZooModel(name, folder);
    step = 'load';
    const { proto } = await loadModel(path);
    rmSync(folder, { recursive: true, force: true });
    step = 'analyse';
    const start = performance.now(), before = process.memoryUsage().rss;
    const analysis = await analyse(proto);
    row.seconds = (performance.now() - start) / 1000;
    row.megabytes = Math.max(0, process.resourceUsage().maxRSS / 1024 - before / 2 ** 20);
    row.groups = analysis.groups.length;
    row.frozen = analysis.frozen.length;
    row.layers = analysis.layers.length;
    for (const { reason } of analysis.frozen) row.reasons[reason] = (row.reasons[reason] ?? 0) + 1;
    step = 'prune';
    const kept = uniformKept(analysis, preserve, { order: channelOrders(proto, analysis) });
    const pruned = applyPlan(proto, analysis, kept), cost = costs(analysis, kept);
    row.macs = cost.macs / analysis.macs;
    row.params = cost.params / analysis.params;
    step = 'run';
    const input = proto.graph.input.find((value) => new GraphView(proto.graph).inputs.includes(value.name))!;
    const masked = maskedModel(proto, planFrom(analysis, kept, { path: name, sha256: '' })), feeds = { [input.name]: syntheticInput(input, [...entry.input]) };
    row.difference = await relativeDifference(masked, pruned, feeds);
    if (deep) row.difference = Math.max(row.difference, await insideDifference(masked, pruned, analysis, kept, feeds));
    if (!(row.difference <= 1e-3)) row.failure = `masked equivalence: ${row.difference}`;
    else {
      step = 'recount';
      const again = await analyse(pruned);
      if (again.macs !== cost.macs || again.params !== cost.params) row.failure = `costs: predicted ${cost.macs} MACs ${cost.params} parameters, counted ${again.macs} and ${again.params}`;
      step = 'branches';
      const branches = analysis.groups.filter(({ removable }) => removable), gone: KeptUnits = new Map([...kept, ...branches.map(({ id }) => [id, []] as const)]);
      row.branches = branches.length;
      if (row.branches > 0) {
        const without = applyPlan(proto, analysis, gone), difference = await relativeDifference(maskedModel(proto, planFrom(analysis, gone, { path: name, sha256: '' })), without, feeds);
        const { macs } = await analyse(without), foretold = costs(analysis, gone).macs;
        if (!(difference <= 1e-3)) row.failure = `masked equivalence without branches: ${difference}`;
        else if (macs !== foretold) row.failure = `costs without branches: predicted ${foretold} MACs, counted ${macs}`;
      }
    }
  } catch (error) { row.failure = `${step}: ${process.env['STACK'] && error instanceof Error ? error.stack! : messageOf(error)}`; } finally { rmSync(folder, { recursive: true, force: true }); }
  return row;
}

/**
 * The same comparison on the outputs of layers inside the network, at the positions that stay: some of the zoo's random networks have outputs
 * that hardly depend on their input, or none at all (detectors that find nothing).
 * @returns the largest difference relative to the largest magnitude of each value
 */
async function insideDifference(masked: Model, pruned: Model, analysis: Analysis, kept: KeptUnits, feeds: Readonly<Record<string, Tensor>>): Promise<number> {
  const { axes } = analysis.structure.facts, positions = new KeptPositions(analysis, kept);
  const step = Math.ceil(analysis.layers.length / 40), names = analysis.layers.filter((_, i) => i % step === 0).map(({ output }) => output);
  const run = async (model: Model): Promise<Record<string, Tensor>> => {
    const session = await Session.create({ ...model, graph: { ...model.graph, output: names.map((name) => create(ValueInfoProtoSchema, { name })) } }, { optimization: 'basic' });
    try { return await session.run(feeds); } finally { await session.release(); }
  };
  const a = await run(masked), b = await run(pruned);
  let worst = 0;
  for (const name of names) {
    const x = a[name]!, y = b[name]!, strides = x.dims.map((_, k) => x.dims.slice(k + 1).reduce((p, q) => p * q, 1));
    // a merged batch axis repeats the kept positions
    const kept = x.dims.map((size, k) => {
      const axis = axes.axis(name, k), own = positions.of(axis), period = axes.sizeOf(axis);
      return Array.from({ length: size }, (_, i) => i).filter((i) => !own || own.includes(i % period));
    });
    if (kept.map(({ length }) => length).join() !== y.dims.join()) return Infinity;
    let offsets = [0];
    kept.forEach((own, k) => { offsets = offsets.flatMap((from) => own.map((i) => from + i * strides[k]!)); });
    let scale = 1e-30, difference = 0;
    offsets.forEach((from, i) => { const u = Number(x.data[from]), v = Number(y.data[i]); scale = Math.max(scale, Math.abs(u)); difference = Math.max(difference, Number.isNaN(u - v) ? Infinity : Math.abs(u - v)); });
    if (difference / scale > worst) { worst = difference / scale; if (worst > 1e-3) console.error(`  ${name} differs by ${worst}`); }
  }
  return worst;
}

function checkInChild(name: string, preserve: number): Promise<Row> {
  return new Promise((done) => {
    const child = spawn(process.execPath, ['--enable-source-maps', process.argv[1]!, '--one', name, '--preserve', String(preserve), ...(deep ? ['--deep'] : [])], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => { text += chunk.toString(); });
    const timer = setTimeout(() => child.kill('SIGKILL'), 900_000);
    child.on('close', (status, signal) => {
      clearTimeout(timer);
      try { done(JSON.parse(text.trim().split('\n').at(-1)!, (_, value: unknown) => (value === null ? NaN : value)) as Row); } catch {
        done({ name, kind: '?', nodes: 0, groups: 0, frozen: 0, branches: 0, layers: 0, seconds: 0, megabytes: 0, macs: NaN, params: NaN, difference: NaN, failure: `the process ended with ${signal ?? status}`, reasons: {} });
      }
    });
  });
}

function summary(rows: readonly Row[]): string[] {
  const share = (kind: string, most: number): string => {
    const own = rows.filter((row) => row.kind === kind && !row.failure);
    return `${kind}: MACs at most ${most} for ${own.filter(({ macs }) => macs <= most).length} of ${own.length}; above: ${own.filter(({ macs }) => macs > most).map(({ name, macs }) => `${name} ${macs.toFixed(2)}`).join(', ') || 'none'}`;
  };
  const slowest = rows.toSorted((a, b) => b.seconds - a.seconds)[0]!;
  const nodes = rows.reduce((sum, row) => sum + row.nodes, 0), seconds = rows.reduce((sum, row) => sum + row.seconds, 0);
  return [
    `${rows.filter(({ failure }) => !failure).length} of ${rows.length} pass`, share('convolutional', 0.4), share('transformer', 0.75), share('other', 0.75),
    `analysis: ${(1000 * seconds / nodes).toFixed(2)} s per 1000 nodes on average; slowest ${slowest.name}, ${slowest.nodes} nodes, ${slowest.seconds.toFixed(1)} s`,
    ...rows.filter(({ failure }) => failure).map(({ name, failure }) => `FAIL ${name}: ${failure}`),
  ];
}

const preserve = args.includes('--preserve') ? Number(args[args.indexOf('--preserve') + 1]) : 0.5;
if (args[0] === '--one') {
  process.stdout.write(`${JSON.stringify(await check(args[1]!, preserve))}\n`);
} else {
  const all = readdirSync(zooFolder).filter((file) => file.endsWith('.onnx')).map((file) => file.slice(0, -5));
  const only = args.includes('--only') ? args.slice(args.indexOf('--only') + 1).filter((arg) => !arg.startsWith('--')) : [];
  const names = only.length > 0 ? all.filter((name) => only.some((part) => name.includes(part))) : all;
  const rows: Row[] = [];
  console.log(`${'model'.padEnd(46)} nodes groups branches frozen/layers analysis s    MB  MACs params difference`);
  for (const name of names) {
    const row = await checkInChild(name, preserve);
    rows.push(row);
    console.log(`${name.padEnd(46)} ${String(row.nodes).padStart(5)} ${String(row.groups).padStart(6)} ${String(row.branches).padStart(8)} ${`${row.frozen}/${row.layers}`.padStart(13)} ${row.seconds.toFixed(2).padStart(10)} ${row.megabytes.toFixed(0).padStart(5)} ${row.macs.toFixed(3).padStart(5)} ${row.params.toFixed(3).padStart(6)} ${row.failure ? `FAIL ${row.failure.slice(0, 300)}` : row.difference.toExponential(1)}`);
    if (only.length > 0) for (const [reason, count] of Object.entries(row.reasons)) console.log(`    frozen ${count}: ${reason}`);
  }
  mkdirSync('bench/out', { recursive: true });
  writeFileSync('bench/out/zoo.json', `${JSON.stringify(rows, undefined, 1)}\n`);
  for (const line of summary(rows)) console.log(line);
}
