import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/engine/numerics/random.ts';
import { GraphBuilder } from '../../../src/engine/onnx/graphBuilder.ts';
import { floats } from '../../../src/engine/runtime/session.ts';
import { finetuneDefaults } from '../../../src/engine/training/finetune.ts';
import { packParameters, parametersOf, withParameters } from '../../../src/engine/training/parameters.ts';
import { type LossWriter, Trainer } from '../../../src/engine/training/trainer.ts';
import { type WhitenedLayer, whitenLayers } from '../../../src/engine/training/whitening.ts';
import { smallClassifier } from './smallNets.ts';

const random = new Random(5), options = { threads: 1, seed: 0 };
const some = (count: number): Float32Array => Float32Array.from({ length: count }, () => random.normal());

/** Two layers on vectors: x [n, 24] to 40 values by MatMul (weights [in, out]) and Add, and those to 3 by Gemm with transB. */
function vectorNet(): ReturnType<GraphBuilder['model']> {
  const build = new GraphBuilder();
  build.input('x', ['n', 24]);
  const constant = (dims: readonly number[], scale: number): string => build.floats(dims, some(dims.reduce((a, b) => a * b)).map((value) => value * scale));
  const hidden = build.op('Relu', [build.add(build.op('MatMul', ['x', constant([24, 40], 0.2)]), constant([40], 0.1))]);
  build.output(build.op('Gemm', [hidden, constant([3, 40], 0.2), constant([3], 0.1)], { transB: 1 }), 'y', ['n', 3]);
  return build.model();
}

/** Inputs as activations are: none around zero, all much alike. */
function correlated(count: number): Float32Array {
  const out = new Float32Array(count * 24);
  for (let n = 0; n < count; n++) { const common = 3 + random.normal(); for (let c = 0; c < 24; c++) out[n * 24 + c] = common + 0.3 * random.normal(); }
  return out;
}

const meanSquare: LossWriter = (build, { shapes }) => {
  const dims = shapes.get('y')!, difference = build.sub('y', build.input('target', dims));
  return { loss: build.meanOfAll(build.mul(difference, difference), dims.reduce((a, b) => a * b)) };
};

/** K⁻¹ of one block, as rows. */
const rowsOf = ({ blocks: [block] }: WhitenedLayer): readonly Float32Array[] => Array.from({ length: block!.width }, (_, r) => block!.inverse.subarray(r * block!.width, (r + 1) * block!.width));

describe('whitenLayers', () => {
  it('finds coordinates in which inputs have no mean and no correlations', async () => {
    const model = vectorNet(), x = correlated(4096), feeds = { x: Array.from({ length: 64 }, (_, i) => floats(x.slice(i * 64 * 24, (i + 1) * 64 * 24), [64, 24])) };
    const [first] = await whitenLayers(model, feeds, options), inverse = rowsOf(first!), z = Array.from({ length: 4096 }, (_, n) => inverse.map((row) => row.reduce((sum, k, c) => sum + k * (x[n * 24 + c]! - first!.mean[c]!), 0)));
    for (let i = 0; i < 24; i++) {
      expect(z.reduce((sum, row) => sum + row[i]!, 0) / 4096).toBeCloseTo(0, 3);
      for (let j = 0; j <= i; j++) {
        const covariance = z.reduce((sum, row) => sum + row[i]! * row[j]!, 0) / 4096;
        if (i === j) expect(covariance).toBeGreaterThan(0.6); else expect(Math.abs(covariance)).toBeLessThan(0.1);
        expect(covariance).toBeLessThan(1.001);
      }
    }
  });

  it('finds numbers where inputs do not vary, as behind channels that are always zero', async () => {
    for (let trial = 0; trial < 20; trial++) { // rounding errors are now this way, now that
      const constant = some(24).map(Math.abs), rows = Array.from({ length: 4 }, () => floats(Float32Array.from({ length: 64 * 24 }, (_, i) => constant[i % 24]!), [64, 24])), layers = await whitenLayers(vectorNet(), { x: rows }, options);
      expect(layers).toHaveLength(2);
      for (const { blocks, sizes } of layers) for (const values of [sizes, ...blocks.map(({ inverse }) => inverse)]) expect(values.every((value) => Math.abs(value) < 1e3)).toBe(true);
    }
  });

  it('takes convolutions of one group with their biases, and leaves others', async () => {
    const layers = await whitenLayers(smallClassifier(3), { image: [floats(some(8 * 128), [8, 2, 8, 8])] }, options);
    expect(layers.map(({ weight, bias, inputs }) => [weight.name, bias?.name, inputs])).toEqual([['first.weight', 'first.bias', 18], ['second.weight', 'second.bias', expect.any(Number)], ['third.weight', 'third.bias', expect.any(Number)], ['head.weight', 'head.bias', expect.any(Number)]]);
  });
});

describe('a trainer of whitened layers', () => {
  const model = vectorNet(), parameters = parametersOf(model), x = floats(correlated(64), [64, 24]), target = floats(some(192), [64, 3]), feeds = { x, target };
  const trainerOf = async (net: typeof model, setup: Partial<typeof finetuneDefaults>, whitened?: readonly WhitenedLayer[]): Promise<Trainer> =>
    Trainer.create(net, { ...finetuneDefaults, threads: 1, weightDecay: 0, ...setup, inputShapes: { x: [64, 24] }, loss: meanSquare, ...(whitened ? { whitened } : {}) });
  async function steps(trainer: Trainer, count: number, rate: number): Promise<{ vector: Float32Array; loss: number }> {
    let loss = NaN;
    for (let i = 0; i < count; i++) loss = (await trainer.step(feeds, rate))['loss']!;
    const vector = trainer.vector();
    await trainer.release();
    return { vector, loss };
  }

  it('leaves the network as it is with steps of no size', async () => {
    const whitened = await whitenLayers(model, { x: [x] }, options);
    expect((await steps(await trainerOf(model, {}, whitened), 1, 0)).vector).toEqual(packParameters(parameters));
  });

  it('steps along the gradient times the inverse of the covariance of inputs', async () => {
    await expectNaturalSteps(model, {});
  });

  it('leaves zeros where they are to stay, and steps along the transposed map', async () => {
    await expectNaturalSteps(halfZero(), { keepZeros: true });
  });

  it('learns faster from inputs that are much alike', async () => {
    for (const [net, setup, share] of [[model, {}, 0.8], [halfZero(), { keepZeros: true }, 0.9]] as const) {
      const whitened = await whitenLayers(net, { x: [x] }, options), plain = await steps(await trainerOf(net, setup), 60, 0.01), own = await steps(await trainerOf(net, setup, whitened), 60, 0.01);
      expect(own.loss).toBeLessThan(share * plain.loss);
    }
  });

  /** The network with every second weight of its matrices zero. */
  function halfZero(): typeof model {
    return withParameters(model, parameters, packParameters(parameters).map((value, i) => (i % 2 === 0 && parameters.some(({ offset, length, isWeight }) => isWeight && i >= offset && i < offset + length) ? 0 : value)));
  }

  /** One step of gradient descent, of size 1, against what the gradient (one plain step) and the coordinates say: first to them, without zeros, and then back. */
  async function expectNaturalSteps(net: typeof model, setup: Partial<typeof finetuneDefaults>): Promise<void> {
    const whitened = await whitenLayers(net, { x: [x] }, options), start = packParameters(parametersOf(net)), sgd = { optimizer: 'sgd', momentum: 0 } as const;
    const gradient = (await steps(await trainerOf(net, sgd), 1, 1)).vector.map((value, i) => start[i]! - value), own = (await steps(await trainerOf(net, { ...sgd, ...setup }, whitened), 1, 1)).vector.map((value, i) => start[i]! - value);
    for (const layer of whitened) {
      const { weight, bias, outs, inputs, mean } = layer, inverse = rowsOf(layer), at = (o: number, c: number): number => weight.offset + (weight.outAxis === 0 ? o * inputs + c : c * outs + o);
      for (let o = 0; o < outs; o++) {
        const stays = (c: number): boolean => setup.keepZeros === true && start[at(o, c)] === 0;
        const centred = Array.from({ length: inputs }, (_, c) => (stays(c) ? 0 : gradient[at(o, c)]! - gradient[bias!.offset + o]! * mean[c]!)), half = inverse.map((row) => row.reduce((sum, k, c) => sum + k * centred[c]!, 0));
        const expected = Array.from({ length: inputs }, (_, c) => (stays(c) ? 0 : inverse.reduce((sum, row, r) => sum + row[c]! * half[r]!, 0))), scale = Math.max(1e-3, ...expected.map(Math.abs));
        expected.forEach((value, c) => { if (stays(c)) expect(own[at(o, c)]).toBe(0); else expect(Math.abs(own[at(o, c)]! - value) / scale).toBeLessThan(1e-3); });
        expect(own[bias!.offset + o]!).toBeCloseTo(gradient[bias!.offset + o]! - expected.reduce((sum, value, c) => sum + value * mean[c]!, 0), 3);
      }
    }
  }
});
