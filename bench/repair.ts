/**
 * What the final repair gains by more rows and rounds: node scripts/run.mjs bench/repair.ts MODEL.onnx PLAN.json [ROWS:MEGABYTES:ROUNDS:RIDGE[:IMAGES] ...]
 * Prunes the model as the plan says (channels, single weights or both) and repairs it with regressions of so many rows a layer, as far as the wanted outputs of all layers fit into so many megabytes, of so many images at most (20,000).
 * Prints accuracy and the mean probability of the right class on val5k, seconds and memory.
 */
import { openNetwork } from '../src/engine/flow/network.ts';
import { openTask } from '../src/engine/flow/task.ts';
import { chunked } from '../src/engine/evaluation/samples.ts';
import { parseCompressOptions } from '../src/engine/protocol.ts';
import { readPlan } from '../src/engine/pruning/plan.ts';
import { applyPlan } from '../src/engine/pruning/surgery.ts';
import { refitTargets } from '../src/engine/reconstruction/refitTargets.ts';
import { memoryLimits } from '../src/engine/reconstruction/rowBudget.ts';
import { sequentialRefit } from '../src/engine/reconstruction/sequentialRefit.ts';

const [model, plan, ...asked] = process.argv.slice(2), ways = asked.length > 0 ? asked : ['49152:400:8:1e-4', '49152:800:8:1e-4', '98304:800:8:1e-4', '98304:800:12:1e-4', '98304:800:16:1e-4', '98304:800:12:1e-3'];
if (!model || !plan) throw new Error('usage: node scripts/run.mjs bench/repair.ts MODEL.onnx PLAN.json [ROWS:MEGABYTES:ROUNDS:RIDGE[:IMAGES] ...]');
const options = parseCompressOptions({ model, val: '../shared/data/cifar10/val5k.npz', calibration: '../shared/data/cifar10/train10k.npz', target: { metric: 'macs', value: 0.5 } });
const network = await openNetwork(model), task = await openTask(network, options, new AbortController().signal), { kept, densities } = await readPlan(plan, network.analysis, network.sha256);
const since = (start: number): string => ((performance.now() - start) / 1000).toFixed(1);

console.log('| rows | images | for targets, MB | rounds | ridge | rows of the first and of the widest layer | capture s | repair s | val5k | probability | peak memory, GB |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |');
for (const way of ways) {
  const [rows, megabytes, rounds, ridge, mostImages = 20_000] = way.split(':').map(Number) as [number, number, number, number, number?], capturing = performance.now();
  const targets = await refitTargets(network.proto, network.analysis, chunked(task.calibration, task.calibration.count, 64), { rows, perColumn: 4, points: 12, mostImages, ...memoryLimits, featureBytes: 1e6 * megabytes }, 2, { firstLayers: densities.size > 0 });
  const captured = since(capturing), repairing = performance.now();
  const made = await sequentialRefit(applyPlan(network.proto, network.analysis, kept), kept, targets, { rounds, ridge, grouped: true, densities }), repaired = since(repairing), { accuracy, probability } = await task.judge.assess(made);
  const rowsOf = targets.layers.map(({ sampled, layout }) => ({ rows: sampled.reduce((sum, { length }) => sum + length, 0), columns: layout.channels * layout.taps })), widest = rowsOf.reduce((a, b) => (b.columns > a.columns ? b : a));
  console.log(`| ${rows} | ${Math.min(mostImages, task.calibration.count)} | ${megabytes} | ${rounds} | ${ridge} | ${rowsOf[0]!.rows}, ${widest.rows} | ${captured} | ${repaired} | ${(100 * accuracy).toFixed(2)} | ${(100 * probability).toFixed(2)} | ${(process.resourceUsage().maxRSS / 1e6).toFixed(2)} |`);
}
