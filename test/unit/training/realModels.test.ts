import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/engine/numerics/random.ts';
import { loadModel } from '../../../src/engine/onnx/modelFile.ts';
import { Session, floats } from '../../../src/engine/runtime/session.ts';
import { finetuneDefaults } from '../../../src/engine/training/finetune.ts';
import { classificationLoss, labelFeeds, logitsOf } from '../../../src/engine/training/losses.ts';
import { packParameters, parametersOf, withParameters } from '../../../src/engine/training/parameters.ts';
import { Trainer } from '../../../src/engine/training/trainer.ts';

const folder = '../shared/models/cifar10', batch = 8, random = new Random(12);

/** Cross-entropy in double precision from logits. */
function crossEntropy(logits: Float32Array, labels: readonly number[]): number {
  return labels.reduce((sum, label, n) => {
    const row = Array.from(logits.subarray(10 * n, 10 * n + 10)), top = Math.max(...row);
    return sum + (top + Math.log(row.reduce((total, v) => total + Math.exp(v - top), 0)) - row[label]!) / labels.length;
  }, 0);
}

describe.skipIf(!existsSync(folder))('training steps of real models (needs ../shared/models)', () => {
  it.each(['plain20', 'resnet20_bn', 'mobilenetv1', 'mobilenetv2_bn'])('the loss of %s changes along its gradient as the gradient says', async (name) => {
    const { proto: model } = await loadModel(join(folder, `${name}.onnx`)), parameters = parametersOf(model), start = packParameters(parameters);
    const image = floats(Float32Array.from({ length: batch * 3072 }, () => random.normal()), [batch, 3, 32, 32]), labels = Array.from({ length: batch }, () => random.integer(10));
    const trainer = await Trainer.create(model, { ...finetuneDefaults, optimizer: 'sgd', momentum: 0, weightDecay: 0, inputShapes: { input: image.dims }, loss: classificationLoss(logitsOf(model), { distillation: 0, temperature: 1 }) });
    const { loss } = await trainer.step({ input: image, ...labelFeeds(labels) }, 1);
    const moved = trainer.vector(), gradient = start.map((value, i) => value - moved[i]!);
    await trainer.release();
    const lossAt = async (along: number): Promise<number> => {
      const session = await Session.create(withParameters(model, parameters, start.map((value, i) => value + along * gradient[i]!)));
      const logits = (await session.run({ input: image }))['logits']!.data as Float32Array;
      await session.release();
      return crossEntropy(logits, labels);
    };
    const slope = gradient.reduce((sum, g) => sum + g * g, 0), step = 2e-3 * loss! / slope;
    expect(Math.abs(await lossAt(0) / loss! - 1)).toBeLessThan(1e-4);
    expect(Math.abs((await lossAt(step) - await lossAt(-step)) / (2 * step * slope) - 1)).toBeLessThan(0.02);
  });
});
