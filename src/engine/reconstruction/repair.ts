import type { GraphProto, ModelProto } from 'onnx-buf';
import { openDataset } from '../data/openDataset.ts';
import { fairSubset } from '../data/subset.ts';
import { fixedBatch } from '../evaluation/fixedBatch.ts';
import { withPreprocessing } from '../evaluation/recordedPreprocessing.ts';
import { chunked, elementsOf } from '../evaluation/samples.ts';
import { loadTaskData, prepare, taskInputDims } from '../evaluation/taskData.ts';
import { float32Form } from '../onnx/float32Form.ts';
import { analyse } from '../pruning/analysis.ts';
import type { PlanChoice } from '../pruning/plan.ts';
import type { Repaired } from '../pruning/prune.ts';
import type { Analysis } from '../pruning/types.ts';
import { refitTargets } from './refitTargets.ts';
import { requireFloat32 } from './regressibleLayers.ts';
import { type RowBudget, memoryLimits } from './rowBudget.ts';
import { sequentialRefit } from './sequentialRefit.ts';

type Model = ModelProto & { graph: GraphProto };

const calibrationImages = 1024, chunkElements = 6e6;
const budget: RowBudget = { rows: 10_240, perColumn: 2, points: 10, mostImages: calibrationImages, ...memoryLimits };

/** A repair of pruned models by least squares on calibration data (labels are used only to find the preprocessing), which tells how many layers it fitted. @see sequentialRefit */
export function repairOn(calibration: string, { preprocess, seed = 0, signal }: { preprocess?: string; seed?: number; signal?: AbortSignal } = {}): (original: Model, analysis: Analysis, choice: PlanChoice, pruned: Model) => Promise<Repaired> {
  return async (read, found, { kept, densities }, prunedFile) => {
    const { model: original, fileType } = float32Form(read), { model: pruned, restore } = float32Form(prunedFile), analysis = fileType === undefined ? found : await analyse(original);
    requireFloat32(analysis);
    const dataset = await openDataset(calibration);
    try {
      const open = { seed, ...(signal ? { signal } : {}), ...(preprocess === undefined ? {} : { preprocess }) };
      const preparation = await prepare(original, dataset, await taskInputDims(original, dataset), open), images = await loadTaskData(dataset, preparation, fairSubset(dataset, calibrationImages, seed), open);
      const most = Math.max(1, Math.min(64, Math.floor(chunkElements / elementsOf(images))));
      const targets = await refitTargets(original, analysis, chunked(images, most, fixedBatch(original)), budget, seed, { firstLayers: densities.size > 0 });
      let layers = 0;
      const repaired = await sequentialRefit(pruned, kept, targets, { rounds: 4, ridge: 1e-4, grouped: true, densities, fitted: () => { layers++; }, ...(signal ? { signal } : {}) });
      return { model: withPreprocessing(restore(repaired), preparation.recipe), layers, preprocessing: preparation.description };
    } finally {
      await dataset.close();
    }
  };
}
