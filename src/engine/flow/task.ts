import { classCountOf, requireLabels } from '../data/dataset.ts';
import { openDataset } from '../data/openDataset.ts';
import { Judge, type JudgeImages } from '../evaluation/judge.ts';
import { type Preparation, loadTaskData, prepare, taskInputDims } from '../evaluation/taskData.ts';
import { GraphView } from '../onnx/graphView.ts';
import type { CompressOptions } from '../protocol.ts';
import { declaredDims, runShapes } from '../runtime/shapes.ts';
import type { Network } from './network.ts';

/** What candidates are judged and repaired on. */
export interface Task {
  readonly judge: Judge;
  readonly calibration: JudgeImages;
  readonly preparation: Preparation;
  /** Name of the model's input. */
  readonly input: string;
  readonly dataset: string;
  readonly classes: number;
  readonly classNames?: readonly string[];
  readonly notes: readonly string[];
}

/** Images held in memory at most; a larger data set is sampled, every class in its proportion. */
const memoryBytes = 1.2e9, mostJudged = 10_000, mostCalibration = 10_000;

/** Opens the data of a run, finds the preprocessing, loads images, and measures the original model on them. */
export async function openTask({ proto }: Network, options: CompressOptions, signal: AbortSignal): Promise<Task> {
  const open = { seed: options.seed, signal, threads: options.threads, ...(options.preprocess === undefined ? {} : { preprocess: options.preprocess }) };
  const val = await openDataset(options.val), notes: string[] = [];
  try {
    const inputDims = await taskInputDims(proto, val), imageBytes = 4 * inputDims.slice(1).reduce((a, b) => a * b, 1);
    const metric = options.metric ?? (val.labels ? 'top1' : 'agreement');
    const outputs = await outputClasses(proto, inputDims);
    if (metric !== 'agreement') requireLabels(val, outputs ?? classCountOf(val));
    const preparation = await prepare(proto, val, inputDims, open);
    const judged = await loadTaskData(val, preparation, Math.min(mostJudged, Math.floor(memoryBytes / imageBytes)), open);
    if (judged.images.count < judged.total) notes.push(`Judged on ${judged.images.count} of ${judged.total} images of ${options.val}.`);
    const judge = await Judge.create(proto, judged.images, metric, { threads: options.threads });
    let calibration = judged.images;
    if (options.calibration !== undefined && options.calibration !== options.val) {
      const other = await openDataset(options.calibration);
      try {
        calibration = (await loadTaskData(other, { ...preparation, inputDims: await taskInputDims(proto, other) }, Math.min(mostCalibration, Math.floor(memoryBytes / imageBytes)), open)).images;
      } finally { await other.close(); }
    } else notes.push('No calibration images were given: the repair used validation images (without their labels).');
    return {
      judge, calibration, preparation, input: new GraphView(proto.graph).inputs[0]!, dataset: options.val, classes: outputs ?? classCountOf(val), notes,
      ...(judged.classNames ? { classNames: judged.classNames } : {}),
    };
  } finally {
    await val.close();
  }
}

/** Number of classes that the model's first output declares or shows. */
async function outputClasses(proto: Network['proto'], inputDims: readonly number[]): Promise<number | undefined> {
  const view = new GraphView(proto.graph), output = proto.graph.output[0]!;
  const declared = declaredDims(output)[1];
  if (declared !== undefined) return declared;
  return (await runShapes(proto, view, { [view.inputs[0]!]: [1, ...inputDims.slice(1)] })).shapes.get(output.name)?.[1];
}
