import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/engine/numerics/random.ts';
import { GraphBuilder } from '../../../src/engine/onnx/graphBuilder.ts';
import { Session, floats } from '../../../src/engine/runtime/session.ts';
import { type MatchingSamples, trainToMatch } from '../../../src/engine/training/trainToMatch.ts';

const random = new Random(6), dims = [4, 6, 6];
const weights = (count: number): Float32Array => Float32Array.from({ length: count }, () => random.normal(0, 0.3));
/** Two convolutions with a ReLU between them. */
function block(): GraphBuilder {
  const build = new GraphBuilder(), x = build.input('x', ['batch', ...dims]);
  const conv = (value: string): string => build.op('Conv', [value, build.floats([4, 4, 3, 3], weights(144)), build.floats([4], weights(4))], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
  build.output(conv(build.op('Relu', [conv(x)])), 'y', ['batch', ...dims]);
  return build;
}

async function samplesOf(build: GraphBuilder, count: number): Promise<MatchingSamples> {
  const size = 144, x = weights(count * size), session = await Session.create(build.model(), { threads: 1 });
  const y = (await session.run({ x: floats(x, [count, ...dims]) }))['y']!.data as Float32Array;
  await session.release();
  const rows = (from: Float32Array, indices: readonly number[]): Float32Array => Float32Array.from(indices.flatMap((i) => [...from.subarray(i * size, (i + 1) * size)]));
  return { count, batch: (indices) => Promise.resolve({ inputs: { x: floats(rows(x, indices), [indices.length, ...dims]) }, targets: { y: floats(rows(y, indices), [indices.length, ...dims]) } }) };
}

describe('trainToMatch', () => {
  it('fits a block to the outputs of another from activations alone', async () => {
    const samples = await samplesOf(block(), 64), start = block().model();
    const { model, lossBefore, lossAfter } = await trainToMatch(start, samples, { steps: 200, batchSize: 16, learningRate: 0.02, threads: 1 });
    expect(lossAfter).toBeLessThan(0.25 * lossBefore);
    expect(model.graph.node).toEqual(start.graph.node);
  });

  it('leaves a block that matches already as it is', async () => {
    const build = block(), { lossBefore, lossAfter } = await trainToMatch(build.model(), await samplesOf(build, 32), { steps: 20, batchSize: 16, optimizer: 'sgd', threads: 1 });
    expect(lossBefore).toBeLessThan(1e-9);
    expect(lossAfter).toBeLessThan(1e-9);
  });

  it('refuses fewer samples than a batch', async () => {
    const build = block();
    await expect(trainToMatch(build.model(), await samplesOf(build, 3), { batchSize: 16 })).rejects.toThrow(/fewer than one batch/);
  });
});
