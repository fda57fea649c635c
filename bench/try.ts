import { readFileSync } from 'node:fs';
import { unzipSync } from 'fflate';
import { loadModel } from '../src/engine/onnx/modelFile.ts';
import { GraphView } from '../src/engine/onnx/graphView.ts';
import { analyse } from '../src/engine/pruning/analysis.ts';
import { applyPlan } from '../src/engine/pruning/surgery.ts';
import { floatsOf, dimsOf } from '../src/engine/onnx/tensor.ts';
import { runShapes } from '../src/engine/runtime/shapes.ts';
import { floats } from '../src/engine/runtime/session.ts';
import { Judge } from '../src/engine/evaluation/judge.ts';
import { SequentialRefit } from '../src/engine/reconstruction/sequentialRefit.ts';
import { gramMatrices } from '../src/engine/reconstruction/gramMatrices.ts';
import { rowLayout } from '../src/engine/reconstruction/layerRows.ts';
import { weightMatrices } from '../src/engine/reconstruction/layerWeights.ts';
import { eliminateUnits } from '../src/engine/reconstruction/channelElimination.ts';
import { SearchSpace } from '../src/engine/rl/searchSpace.ts';
import { allocate, fillBudget } from '../src/engine/rl/allocation.ts';
import { handMade } from '../src/engine/rl/policies.ts';
const [name, budgetText = '0.5', calib = '1024', points = '10'] = process.argv.slice(2);
const budget = Number(budgetText);
function load(file: string, n: number) { const z = unzipSync(readFileSync(file)); const im = z['images.npy']!, lb = z['labels.npy']!; const off = (b: Uint8Array) => 10 + b[8]! + 256 * b[9]!;
  const px = im.subarray(off(im)), lab = new BigInt64Array(lb.slice(off(lb)).buffer); const v = new Float32Array(n * 3072); const mean = [.4914, .4822, .4465], std = [.247, .2435, .2616];
  for (let i = 0; i < v.length; i++) { const c = Math.floor(i / 1024) % 3; v[i] = (px[i]! / 255 - mean[c]!) / std[c]!; } return { values: v, labels: Int32Array.from(lab.subarray(0, n), Number), count: n, imageDims: [3, 32, 32] }; }
let t = performance.now(); const lap = (s: string) => { console.log(s.padEnd(60), ((performance.now() - t) / 1000).toFixed(2) + ' s'); t = performance.now(); };
const m = await loadModel(`../shared/models/cifar10/${name}.onnx`); const a = await analyse(m.proto); lap(`analyse ${a.groups.length} groups ${(a.macs / 1e6).toFixed(2)} M macs`);
const val = load('../shared/data/cifar10/val5k.npz', 5000), cal = load('../shared/data/cifar10/train10k.npz', Number(calib)); lap('data');
const judge = await Judge.create(m.proto, val, 'top1'); lap(`original ${(100 * judge.original).toFixed(2)}`);
const chunk = 64; const feeds = (n: number) => ({ input: Array.from({ length: n / chunk }, (_, i) => floats(cal.values.subarray(i * chunk * 3072, (i + 1) * chunk * 3072), [chunk, 3, 32, 32])) });
const view = new GraphView(m.proto.graph); const { shapes } = await runShapes(m.proto, view, { input: [chunk, 3, 32, 32] });
const consumers = new Map(a.groups.flatMap((g) => g.consumers.map((u) => [u.initializer, u] as const)));
const reqs = a.layers.filter((l) => consumers.has(l.weight)).map((layer) => ({ layer, layout: rowLayout(layer, shapes.get(layer.input)!, shapes.get(layer.output)!, dimsOf(view.constants.get(layer.weight)!))! }));
const grams = await gramMatrices(m.proto, reqs, feeds(Math.min(Number(calib), 1024)), 10, 0); lap('grams');
const ranked = []; for (const group of a.groups) {
  const cs = group.consumers.map((u) => { const i = reqs.findIndex((r) => r.layer.weight === u.initializer), { layer, layout } = reqs[i]!; return { gram: grams[i]!.gram, weights: weightMatrices(layer, layout, view.constants.get(layer.weight)!, view.constants.get(layer.bias))[0]!, outs: layout.outs, unitOf: u.unitOf, taps: layout.taps }; });
  const e = await eliminateUnits(cs, group.channels, { ridge: 1e-4, steps: 64 }); ranked.push({ group, ...e }); }
lap('elimination');
const space = new SearchSpace(a, ranked, 'macs', { minPreserve: 0.1, roundTo: 1 });
const small = await SequentialRefit.prepare(m.proto, a, feeds(512), 8, 1); lap('prepare small');
const big = await SequentialRefit.prepare(m.proto, a, feeds(Number(calib)), Number(points), 2); lap('prepare big');
const policies: [string, readonly number[]][] = [['uniform', handMade(space, 'uniform', budget)!]];
for (const p of [0.5, 0.75, 1]) policies.push([`alloc ${p}`, fillBudget(space, allocate(space, budget, p)!, budget, p)]);
lap('alloc');
for (const [n, counts] of policies) {
  const kept = space.keptFor(counts); const pruned = applyPlan(m.proto, a, kept); 
  console.log(n, (100*space.costOf(counts).macs).toFixed(2), space.ratiosOf(counts).map((r) => r.toFixed(2)).join(' '));
  const a0 = await judge.accuracy(pruned, 1000); lap(`  no refit ${(100 * a0).toFixed(2)} (1000)`);
  const s = await small.refit(pruned, kept, { rounds: 2, ridge: 1e-3 }); lap('  small refit'); 
  const a1 = await judge.accuracy(s); lap(`  small ${(100 * a1).toFixed(2)}`);
  for (const [rounds, ridge] of [[0,1e-4],[10,1e-4],[10,1e-3]] as const) { const b = await big.refit(pruned, kept, { rounds, ridge }); const acc = await judge.accuracy(b); lap(`  big rounds ${rounds} ridge ${ridge}: ${(100 * acc).toFixed(2)}`); }
}
