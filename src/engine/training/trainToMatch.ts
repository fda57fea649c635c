import type { GraphProto, ModelProto } from 'onnx-buf';
import { CancelledError, InputError } from '../errors.ts';
import { Random } from '../numerics/random.ts';
import type { Tensor } from '../runtime/session.ts';
import { matchingLoss, targetName } from './losses.ts';
import { cosineSchedule } from './schedule.ts';
import { type OptimizerOptions, Trainer } from './trainer.ts';

type Model = ModelProto & { graph: GraphProto };

/** Cached activations by sample number: what goes into a block, and what should come out of it. */
export interface MatchingSamples {
  readonly count: number;
  /** @returns for each input and each output to match of the block a tensor whose first dimension is indices.length */
  batch(indices: readonly number[]): Promise<{ inputs: Readonly<Record<string, Tensor>>; targets: Readonly<Record<string, Tensor>> }>;
}

export interface MatchOptions extends OptimizerOptions {
  readonly steps: number;
  readonly batchSize: number;
  readonly learningRate: number;
  /** Share of all steps in which the learning rate rises. */
  readonly warmUp: number;
  readonly seed: number;
}

export const matchDefaults: MatchOptions = {
  steps: 200, batchSize: 32, optimizer: 'adamw', learningRate: 1e-3, weightDecay: 0, momentum: 0.9, warmUp: 0.05, relativeSteps: true, keepZeros: false, seed: 0, threads: 0,
};

/**
 * Trains a block of a network so that its outputs match given ones in the mean square: label-free reconstruction by gradient (as BRECQ,
 * Li et al. 2021, does for quantised networks). Deterministic for a seed and a thread count.
 * @param model the block as a model of its own: its graph inputs take cached activations, its trainable parameters are fitted
 * @returns the fitted block and the mean squared error over the first and the last tenth of the steps
 */
export async function trainToMatch(model: Model, samples: MatchingSamples, options: Partial<MatchOptions> = {}, signal?: AbortSignal): Promise<{ model: Model; lossBefore: number; lossAfter: number }> {
  const all = { ...matchDefaults, ...options }, { batchSize, steps } = all, random = new Random(all.seed);
  if (samples.count < batchSize) throw new InputError(`There are only ${samples.count} samples to match, fewer than one batch of ${batchSize}.`);
  let order: number[] = [];
  const nextBatch = async (): ReturnType<MatchingSamples['batch']> => {
    if (order.length < batchSize) order = random.shuffle(Array.from({ length: samples.count }, (_, i) => i));
    return samples.batch(order.splice(0, batchSize));
  };
  const first = await nextBatch(), wanted = Object.keys(first.targets);
  const inputShapes = Object.fromEntries(Object.entries(first.inputs).map(([name, { dims }]) => [name, dims]));
  const trainer = await Trainer.create(model, { ...all, inputShapes, loss: matchingLoss(wanted) });
  try {
    const losses: number[] = [];
    for (let step = 0; step < steps; step++) {
      if (signal?.aborted) throw new CancelledError();
      const { inputs, targets } = step === 0 ? first : await nextBatch();
      const aims = Object.fromEntries(Object.entries(targets).map(([name, tensor]) => [targetName(name), tensor]));
      const { loss } = await trainer.step({ ...inputs, ...aims }, all.learningRate * cosineSchedule(step, steps, Math.round(all.warmUp * steps)));
      losses.push(loss!);
    }
    const tenth = Math.max(1, Math.floor(steps / 10)), mean = (part: readonly number[]): number => part.reduce((a, b) => a + b, 0) / part.length;
    return { model: trainer.current(), lossBefore: mean(losses.slice(0, tenth)), lossAfter: mean(losses.slice(-tenth)) };
  } finally {
    await trainer.release();
  }
}
