import type { GraphProto, ModelProto } from 'onnx-buf';
import { openDataset } from '../data/openDataset.ts';
import { batchOf } from '../evaluation/judge.ts';
import { loadTaskData, prepare, taskInputDims } from '../evaluation/taskData.ts';
import { GraphView } from '../onnx/graphView.ts';
import type { Analysis, KeptUnits } from '../pruning/types.ts';
import { refitTargets } from './refitTargets.ts';
import { sequentialRefit } from './sequentialRefit.ts';

type Model = ModelProto & { graph: GraphProto };

const calibrationImages = 1024, pointsAnImage = 10, chunkElements = 6e6;

/** A repair of pruned models by least squares on calibration data (labels are used only to find the preprocessing). @see sequentialRefit */
export function repairOn(calibration: string, { preprocess, seed = 0, signal }: { preprocess?: string; seed?: number; signal?: AbortSignal } = {}): (original: Model, analysis: Analysis, kept: KeptUnits, pruned: Model) => Promise<Model> {
  return async (original, analysis, kept, pruned) => {
    const dataset = await openDataset(calibration);
    try {
      const open = { seed, ...(signal ? { signal } : {}), ...(preprocess === undefined ? {} : { preprocess }) };
      const { images } = await loadTaskData(dataset, await prepare(original, dataset, await taskInputDims(original, dataset), open), calibrationImages, open);
      const chunk = Math.max(1, Math.min(64, images.count, Math.floor(chunkElements / images.imageDims.reduce((a, b) => a * b, 1))));
      const chunks = Array.from({ length: Math.floor(images.count / chunk) }, (_, i) => batchOf(images, i * chunk, chunk));
      const targets = await refitTargets(original, analysis, { [new GraphView(original.graph).inputs[0]!]: chunks }, pointsAnImage, seed);
      return await sequentialRefit(pruned, kept, targets, { rounds: 4, ridge: 1e-4, grouped: true, ...(signal ? { signal } : {}) });
    } finally {
      await dataset.close();
    }
  };
}
