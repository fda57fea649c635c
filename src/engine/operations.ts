/** What the engine can do, one function each: the same for the command line and for the worker process. */
import { compress, exportCandidate, resume, type RunContext } from './compress.ts';
import { openDataset } from './data/openDataset.ts';
import { layoutOfRecipe, parsePreprocessing } from './data/preprocessing.ts';
import { evaluateFiles, type EvaluateOptions, evaluateModel } from './evaluation/evaluate.ts';
import { benchmark, type BenchmarkOptions } from './evaluation/latency.ts';
import { taskInputDims } from './evaluation/taskData.ts';
import { given } from './given.ts';
import { loadModel } from './onnx/modelFile.ts';
import { benchmarkOptionsSchema, type DataPreview, evaluateOptionsSchema, parseCompressOptions, parseOptions, type PreviewOptions } from './protocol.ts';
import { inspectModel } from './pruning/inspect.ts';
import { listGraph } from './pruning/listGraph.ts';
import { pruneCommand, type PruneOptions, type PruneResult } from './pruning/prune.ts';
import { repairOn } from './reconstruction/repair.ts';

export type { RunContext };

/** Images on which a preview measures. */
const previewImages = 500;

/** How a data set fits a model: the preprocessing that is found, and what a run would measure of the model, on some of the images. */
async function previewData(model: string, data: string, { metric: asked, ...how }: PreviewOptions & { readonly signal: AbortSignal }): Promise<DataPreview> {
  const { proto } = await loadModel(model);
  const dataset = await openDataset(data);
  try {
    const wanted = asked ?? (dataset.labels ? 'top1' : 'agreement');
    const { classes, labelled, preprocessing, metric, value } = await evaluateModel(proto, dataset, { ...given(how), limit: previewImages, metric: wanted, ...(wanted === 'agreement' ? { against: model } : {}) });
    return { images: dataset.count, classes, labelled, preprocessing, metric, accuracy: value };
  } finally {
    await dataset.close();
  }
}

type PruneRequest = Omit<PruneOptions, 'repair'> & { readonly preprocess?: string; readonly signal?: AbortSignal };

/** Prunes a model file by a ratio or a plan, and repairs it where there is calibration data. */
async function prune({ preprocess, signal, ...options }: PruneRequest): Promise<PruneResult> {
  const { calibration } = options;
  return pruneCommand({ ...options, ...(calibration === undefined ? {} : { repair: repairOn(calibration, given({ preprocess, signal })) }) });
}

/** A recipe in full, the layout of the model's input included. @param model @param data paths */
async function wholeRecipe(preprocess: string, model: string, data: string): Promise<string> {
  const { proto } = await loadModel(model), dataset = await openDataset(data);
  try {
    return JSON.stringify(await parsePreprocessing(preprocess, layoutOfRecipe(await taskInputDims(proto, dataset))));
  } finally {
    await dataset.close();
  }
}

export const operations = {
  /** @param request options from outside, checked here */
  compress: async (request: unknown, context: RunContext) => {
    const { preprocess, ...options } = parseCompressOptions(request);
    return compress({ ...options, ...(preprocess === undefined ? {} : { preprocess: await wholeRecipe(preprocess, options.model, options.val) }) }, context); // the recipe itself: its file may change or go before the run is resumed
  },
  resume, exportCandidate, inspect: inspectModel, list: listGraph, previewData, prune,
  benchmark: async (model: string, against: string | undefined, options: BenchmarkOptions) => benchmark(model, against, parseOptions(benchmarkOptionsSchema, options)),
  evaluate: async (model: string, data: string, options: EvaluateOptions) => evaluateFiles(model, data, parseOptions(evaluateOptionsSchema, options)),
};
