import { expect, it } from 'vitest';
import type { Goal } from '../../../src/engine/flow/goal.ts';
import { type MeasuredRatio, meetLatency } from '../../../src/engine/flow/latencyTarget.ts';
import { openNetwork } from '../../../src/engine/flow/network.ts';
import { openTask } from '../../../src/engine/flow/task.ts';
import { parseCompressOptions } from '../../../src/engine/protocol.ts';
import { costs } from '../../../src/engine/pruning/costs.ts';
import type { KeptUnits } from '../../../src/engine/pruning/types.ts';
import { allocate } from '../../../src/engine/rl/allocation.ts';
import { ChannelSpace } from '../../../src/engine/rl/channelSpace.ts';

const network = await openNetwork('examples/resnet20.onnx'), { analysis } = network;
const ranked = analysis.groups.map((group) => ({ group, order: Array.from({ length: group.channels }, (_, i) => i), error: Float64Array.from({ length: group.channels + 1 }, (_, gone) => (gone / group.channels) ** 2) }));

it('what a wrong prediction left unused of the time is used, as far as the other limits allow', async () => {
  const task = await openTask(network, parseCompressOptions({ model: network.path, val: 'examples/cifar10/validation', target: { metric: 'macs', value: 0.8 } }), new AbortController().signal);
  const latency = (kept: KeptUnits): number => Math.sqrt(costs(analysis, kept).macs / analysis.macs);
  const limits: Goal['limits'] = [{ cost: 'macs', budget: 0.6, asked: { metric: 'macs', value: 0.6 } }, { cost: 'latency', budget: 0.7, asked: { metric: 'latency', value: 0.7 } }];
  const space = new ChannelSpace(analysis, ranked, limits, { minPreserve: 0.1, roundTo: 0, latency }), counts = allocate(space, 0.6, 1)!;
  expect(space.costOf(counts).macs).toBeLessThanOrEqual(0.5); // the prediction holds it back: the square of 0.7
  const first: MeasuredRatio = { policy: 'latency', episode: 0, counts, ratio: { value: 0.5, low: 0.49, high: 0.51 } }, measured: MeasuredRatio[] = [], enough = new Error('one more was measured');
  const journal = { known: [first], append: (entry: MeasuredRatio) => { measured.push(entry); return Promise.reject(enough); } };
  await expect(meetLatency(space, { limits }, network, { policy: 'agent', counts, accuracy: 0.8, model: () => Promise.resolve(network.proto) }, task, 1, () => Promise.reject(enough), journal, undefined)).rejects.toBe(enough);
  const { macs } = space.costOf(measured[0]!.counts);
  expect(macs).toBeLessThanOrEqual(0.6);
  expect(macs).toBeGreaterThan(0.55);
}, 60_000);
