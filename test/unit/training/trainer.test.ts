import { describe, expect, it } from 'vitest';
import { differentiate, gradientName } from '../../../src/engine/autodiff/differentiate.ts';
import { Random } from '../../../src/engine/numerics/random.ts';
import { GraphBuilder } from '../../../src/engine/onnx/graphBuilder.ts';
import { Session, floats } from '../../../src/engine/runtime/session.ts';
import { finetuneDefaults } from '../../../src/engine/training/finetune.ts';
import { packParameters, parametersOf } from '../../../src/engine/training/parameters.ts';
import { type LossWriter, Trainer } from '../../../src/engine/training/trainer.ts';
import { smallClassifier } from './smallNets.ts';

const random = new Random(8);
const some = (count: number): Float32Array => Float32Array.from({ length: count }, () => random.normal());
const model = smallClassifier(3), parameters = parametersOf(model), inputShapes = { image: [6, 2, 8, 8] };
const image = floats(some(6 * 128), [6, 2, 8, 8]), target = floats(some(18), [6, 3]);

/** The gradient of the same loss by the graph as it is written, without the trainer's rewriting of convolutions. */
async function plainGradient(): Promise<{ loss: number; gradient: Float32Array }> {
  const build = new GraphBuilder(model);
  const difference = build.sub('logits', build.input('target', [6, 3]));
  build.output(build.meanOfAll(build.mul(difference, difference), 18), 'loss', []);
  const names = parameters.map(({ name }) => name);
  const session = await Session.create(await differentiate(build.model(), { loss: 'loss', wrt: names, inputShapes: { ...inputShapes, target: [6, 3] } }));
  const result = await session.run({ image, target });
  await session.release();
  const gradient = new Float32Array(packParameters(parameters).length);
  for (const { name, offset } of parameters) gradient.set(result[gradientName(name)]!.data as Float32Array, offset);
  return { loss: Number(result['loss']!.data[0]), gradient };
}

/** Mean squared difference of the logits from the input `target`. */
const meanSquare: LossWriter = (build, { shapes }) => {
  const [batch = 0, classes = 0] = shapes.get('logits')!, difference = build.sub('logits', build.input('target', [batch, classes]));
  return { loss: build.meanOfAll(build.mul(difference, difference), batch * classes) };
};

async function train(setup: Partial<typeof finetuneDefaults>, rates: readonly number[]): Promise<{ losses: number[]; vector: Float32Array }> {
  const trainer = await Trainer.create(model, { ...finetuneDefaults, threads: 1, weightDecay: 0, relativeSteps: false, ...setup, inputShapes, loss: meanSquare });
  const losses: number[] = [];
  for (const rate of rates) losses.push((await trainer.step({ image, target }, rate))['loss']!);
  const vector = trainer.vector();
  await trainer.release();
  return { losses, vector };
}
const expectNear = (actual: Float32Array, expected: Float32Array, tolerance: number): void => {
  const scale = expected.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  expect(Math.max(...actual.map((value, i) => Math.abs(value - expected[i]!))) / scale).toBeLessThan(tolerance);
};

describe('Trainer', () => {
  it('finds weights, biases and the scale and bias of normalisation, and no statistics', () => {
    expect(parameters.map(({ name, isWeight }) => `${name}${isWeight ? ' (weight)' : ''}`)).toEqual([
      'first.weight (weight)', 'first.bias', 'depthwise.weight (weight)', 'depthwise.bias', 'norm.scale', 'norm.bias',
      'second.weight (weight)', 'second.bias', 'third.weight (weight)', 'third.bias', 'head.weight (weight)', 'head.bias']);
  });

  it('steps along the gradient of the graph as it is written', async () => {
    const start = packParameters(parameters), { loss, gradient } = await plainGradient();
    const { losses, vector } = await train({ optimizer: 'sgd', momentum: 0 }, [1]);
    expect(losses[0]).toBeCloseTo(loss, 5);
    expectNear(start.map((value, i) => value - vector[i]!), gradient, 1e-4);
  });

  it('takes the steps of Nesterov momentum with decay of weights only', async () => {
    const start = packParameters(parameters), { gradient } = await plainGradient();
    const { vector } = await train({ optimizer: 'sgd', momentum: 0.9, weightDecay: 0.1 }, [0.01]);
    const isWeight = start.map(() => 0);
    for (const p of parameters) if (p.isWeight) isWeight.fill(1, p.offset, p.offset + p.length);
    const g = gradient.map((value, i) => value + 0.1 * isWeight[i]! * start[i]!);
    expectNear(vector, start.map((value, i) => value - 0.01 * 1.9 * g[i]!), 1e-5);
  });

  it('takes the same steps when a batch is divided among threads', async () => {
    const alone = await train({ threads: 1 }, [0.01, 0.01]);
    for (const threads of [2, 3, 4]) { // 4 do not divide a batch of 6: 3 share it
      const together = await train({ threads }, [0.01, 0.01]);
      expect(together.losses.map((loss, i) => loss / alone.losses[i]!)).toEqual([expect.closeTo(1, 5), expect.closeTo(1, 5)]);
      expectNear(together.vector, alone.vector, 1e-4);
    }
  });

  it("takes AdamW's first step: the sign of the gradient, and decay", async () => {
    const start = packParameters(parameters), { gradient } = await plainGradient();
    const { vector } = await train({ optimizer: 'adamw', weightDecay: 0.5 }, [0.01]);
    const isWeight = start.map(() => 0);
    for (const p of parameters) if (p.isWeight) isWeight.fill(1, p.offset, p.offset + p.length);
    expectNear(vector, start.map((value, i) => value * (1 - 0.01 * 0.5 * isWeight[i]!) - 0.01 * gradient[i]! / (Math.abs(gradient[i]!) + 1e-8)), 1e-4);
  });

  it('takes steps relative to the size of each output channel', async () => {
    const start = packParameters(parameters), { gradient } = await plainGradient();
    const { vector } = await train({ optimizer: 'adamw', relativeSteps: true }, [0.01]);
    const { offset, length } = parameters.find(({ name }) => name === 'third.weight')!, inner = length / 8;
    for (let channel = 0; channel < 8; channel++) {
      const from = offset + channel * inner, weights = start.subarray(from, from + inner), size = Math.sqrt(weights.reduce((sum, w) => sum + w * w, 0) / inner);
      expectNear(vector.subarray(from, from + inner), weights.map((w, i) => w - 0.01 * size * gradient[from + i]! / (Math.abs(gradient[from + i]!) + 1e-8)), 1e-4);
    }
  });

  it('stops with a clear message when the loss is not a number', async () => {
    await expect(train({ optimizer: 'sgd' }, [1e30, 1e30, 1e30])).rejects.toThrow(/diverged.*Check the training data/);
  });
});
