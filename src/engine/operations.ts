/** What the engine can do, one function each: the same for the command line and for the worker process. */
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { compress, exportCandidate, resume, type RunContext } from './compress.ts';
import { openDataset } from './data/openDataset.ts';
import { InputError } from './errors.ts';
import { evaluateFiles, type EvaluateOptions, evaluateModel } from './evaluation/evaluate.ts';
import { benchmark } from './evaluation/latency.ts';
import { loadModel } from './onnx/modelFile.ts';
import { type DataPreview, parseCompressOptions } from './protocol.ts';
import { inspectModel } from './pruning/inspect.ts';
import { listGraph } from './pruning/listGraph.ts';
import { pruneCommand, type PruneOptions, type PruneResult } from './pruning/prune.ts';
import { repairOn } from './reconstruction/repair.ts';

export type { RunContext };

/** Checks, before the work and not after it, that the answer can be written. @throws {InputError} */
async function checkOut(out: string, model: string): Promise<void> {
  if (resolve(out) === resolve(model)) throw new InputError('The output would overwrite the model: give another --out.');
  await access(dirname(resolve(out)), constants.W_OK).catch((error: NodeJS.ErrnoException) => {
    throw new InputError(`Can't write ${out}: ${error.code === 'ENOENT' ? 'its folder does not exist' : 'its folder is read-only'}.`, { cause: error });
  });
}

/** Images on which a preview measures. */
const previewImages = 500;

/** How a data set fits a model: the preprocessing that is found, and the model's accuracy on some of the images. */
async function previewData(model: string, data: string, { signal, preprocess }: { signal: AbortSignal; preprocess?: string }): Promise<DataPreview> {
  const { proto } = await loadModel(model);
  const dataset = await openDataset(data);
  try {
    const options: EvaluateOptions = { limit: previewImages, signal, ...(preprocess === undefined ? {} : { preprocess }), ...(dataset.labels ? {} : { metric: 'agreement', against: model }) };
    const { classes, labelled, preprocessing, metric, value } = await evaluateModel(proto, dataset, options);
    return { images: dataset.count, classes, labelled, preprocessing, metric, accuracy: value };
  } finally {
    await dataset.close();
  }
}

type PruneRequest = Omit<PruneOptions, 'repair' | 'json'> & { readonly calibration?: string; readonly preprocess?: string; readonly signal?: AbortSignal };

/** Prunes a model file by a ratio or a plan, and repairs it where there is calibration data. */
async function prune({ calibration, preprocess, signal, ...options }: PruneRequest): Promise<PruneResult> {
  await checkOut(options.out, options.model);
  return pruneCommand({ ...options, ...(calibration === undefined ? {} : { repair: repairOn(calibration, { ...(preprocess === undefined ? {} : { preprocess }), ...(signal ? { signal } : {}) }) }) }, () => undefined);
}

export const operations = {
  /** @param request options from outside, checked here */
  compress: async (request: unknown, context: RunContext) => {
    const options = parseCompressOptions(request);
    if (options.out !== undefined) await checkOut(options.out, options.model);
    return compress(options, context);
  },
  resume, exportCandidate, inspect: inspectModel, list: listGraph, previewData, prune, benchmark, evaluate: evaluateFiles,
};
