import { availableParallelism } from 'node:os';
import type { GraphProto, ModelProto } from 'onnx-buf';
import { CancelledError, InputError } from '../errors.ts';
import { Random } from '../numerics/random.ts';
import { GraphView } from '../onnx/graphView.ts';
import { loadModel } from '../onnx/modelFile.ts';
import type { BenchmarkResult, Latency } from '../protocol.ts';
import { Session, type Tensor } from '../runtime/session.ts';
import { findShapes, syntheticInput } from '../runtime/shapes.ts';
import { fixedBatch } from './fixedBatch.ts';

type Model = ModelProto & { graph: GraphProto };

export interface LatencyOptions {
  /** Samples in one run, unless the model fixes their number. Default 1. */
  readonly batch?: number;
  /** Threads inside one operator; 0 for all cores. Default 0. */
  readonly threads?: number;
  /** Seconds of measuring, for all models together. Default 3; at least `leastRounds` rounds are made. */
  readonly seconds?: number;
  /** Shapes of inputs that the model leaves open, by name; their first dimension is of no effect. */
  readonly inputShapes?: Readonly<Record<string, readonly number[]>>;
  readonly signal?: AbortSignal;
}

const leastRounds = 7, mostRounds = 3000, warmUpRuns = 3;

/** The value below which a fraction of the sorted values lies, interpolated between neighbours. */
function quantile(sorted: ArrayLike<number>, fraction: number): number {
  const at = fraction * (sorted.length - 1), low = Math.floor(at), high = Math.ceil(at);
  return sorted[low]! + (sorted[high]! - sorted[low]!) * (at - low);
}
/** Median, and the values that a tenth of the runs stay below and above. */
export function summarise(samples: readonly number[]): Latency {
  const sorted = Float64Array.from(samples).sort();
  return { median: quantile(sorted, 0.5), p10: quantile(sorted, 0.1), p90: quantile(sorted, 0.9) };
}
/** The middle value, or the mean of the two. */
export const median = (samples: readonly number[]): number => summarise(samples).median;

async function feedsOf(model: Model, { batch: wanted = 1, inputShapes: known }: LatencyOptions): Promise<Record<string, Tensor>> {
  const view = new GraphView(model.graph), batch = fixedBatch(model) ?? wanted;
  const given = known && Object.fromEntries(Object.entries(known).filter(([name]) => view.inputs.includes(name)).map(([name, dims]) => [name, [batch, ...dims.slice(1)]]));
  const { inputShapes } = await findShapes(model, view, { batch, ...(given ? { given } : {}) });
  return Object.fromEntries(model.graph.input.filter(({ name }) => view.inputs.includes(name)).map((input) => [input.name, syntheticInput(input, inputShapes[input.name] ?? [])]));
}

/**
 * Times models in turn, one run each a round, so that what else the machine does hits all alike; the order changes from round to round.
 * @returns milliseconds of every run, for each model
 */
export async function timeInTurn(models: readonly Model[], options: LatencyOptions = {}): Promise<number[][]> {
  const { threads = 0, seconds = 3, signal } = options;
  const sessions: Session[] = [];
  try {
    const feeds: Record<string, Tensor>[] = [];
    for (const model of models) {
      sessions.push(await Session.create(model, { threads }));
      feeds.push(await feedsOf(model, options));
    }
    for (let run = 0; run < warmUpRuns; run++) for (const [i, session] of sessions.entries()) await session.run(feeds[i]!);
    const samples: number[][] = sessions.map(() => []);
    const end = performance.now() + seconds * 1000;
    for (let round = 0; round < leastRounds || (performance.now() < end && round < mostRounds); round++) {
      if (signal?.aborted) throw new CancelledError();
      for (let turn = 0; turn < sessions.length; turn++) {
        const i = (round + turn) % sessions.length;
        const start = performance.now();
        await sessions[i]!.run(feeds[i]!);
        samples[i]!.push(performance.now() - start);
      }
      if (round % 16 === 0) await new Promise(setImmediate); // runs keep the thread busy: let cancellation through
    }
    return samples;
  } finally {
    for (const session of sessions) await session.release();
  }
}

/** @returns the latency of each model on this machine, measured in turn */
export const measureLatency = async (models: readonly Model[], options: LatencyOptions = {}): Promise<Latency[]> => (await timeInTurn(models, options)).map(summarise);

type Ratio = NonNullable<BenchmarkResult['batches'][number]['ratio']>;

/**
 * Median of `model` / median of `against`, with its 95% confidence interval by bootstrap over rounds (Efron 1979, percentile method).
 * @param model and against: milliseconds of the same rounds
 */
export function latencyRatio(model: readonly number[], against: readonly number[], resamples = 2000): Ratio {
  const random = new Random(1), rounds = model.length;
  const ratios = Float64Array.from({ length: resamples }, () => {
    const chosen = Array.from({ length: rounds }, () => random.integer(rounds));
    return quantile(Float64Array.from(chosen, (i) => model[i]!).sort(), 0.5) / quantile(Float64Array.from(chosen, (i) => against[i]!).sort(), 0.5);
  }).sort();
  return { value: median(model) / median(against), low: quantile(ratios, 0.025), high: quantile(ratios, 0.975) };
}

export interface BenchmarkOptions extends Omit<LatencyOptions, 'batch' | 'inputShapes'> { /** Samples in one run. Default: 1 and 8, or the batch that a model fixes. */ readonly batch?: number }

/** Measures a model file's latency, and its ratio to another's at the same batch. @throws {InputError} when a model does not run, or not at the batch of the other or the one asked for */
export async function benchmark(modelPath: string, againstPath?: string, { batch: asked, ...options }: BenchmarkOptions = {}): Promise<BenchmarkResult> {
  const models: Model[] = [];
  for (const path of againstPath === undefined ? [modelPath] : [modelPath, againstPath]) models.push((await loadModel(path)).proto);
  const fixed = [...new Set(models.map(fixedBatch).filter((batch) => batch !== undefined))];
  if (fixed.length > 1) throw new InputError(`One model takes batches of ${fixed[0]} only, the other of ${fixed[1]}: their times can't be compared. Export both with an open batch.`);
  if (asked !== undefined && fixed.some((batch) => batch !== asked)) throw new InputError(`The model takes batches of ${fixed[0]} only.`);
  const results: BenchmarkResult['batches'][number][] = [];
  for (const batch of asked !== undefined ? [asked] : fixed.length > 0 ? fixed : [1, 8]) {
    const [model, against] = await timeInTurn(models, { ...options, batch });
    results.push({ batch, model: summarise(model!), ...(against ? { against: summarise(against), ratio: latencyRatio(model!, against) } : {}) });
  }
  return { threads: options.threads || availableParallelism(), provider: 'CPU', batches: results };
}
