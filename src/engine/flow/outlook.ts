import { forwardSeconds } from '../evaluation/forwardCost.ts';
import type { CompressOptions, Stage } from '../protocol.ts';
import type { Calibration } from './calibrate.ts';
import { shareExpected } from './goal.ts';
import type { Network } from './network.ts';
import { choicesMade } from './rebuild.ts';
import type { Task } from './task.ts';
import { refinementEpochs, trainingSeconds } from './train.ts';

/** Seconds that the written model's measurement takes. */
const reportSeconds = 8;

/**
 * Seconds that the stages after calibration are expected to take, the search apart, which tells by itself: a choice is repaired by regressions like those of the calibration, of a smaller
 * network, and judged on all images; training goes by its number of forward passes. Right to about a factor of two.
 * @param spent seconds of the stages so far
 */
export function outlook(network: Network, task: Task, { goal }: Calibration, options: CompressOptions, spent: Readonly<Record<string, number>>): Partial<Record<Stage, number>> {
  const share = options.method === 'weights' ? 1 : shareExpected(goal), epochs = options.refine ?? refinementEpochs(network, task, share);
  return {
    rebuild: choicesMade * share * ((spent['calibrate'] ?? 0) + task.judge.images.count * forwardSeconds(network.analysis)), refine: trainingSeconds(network, task, share, epochs),
    finetune: trainingSeconds(network, task, share, options.finetune), report: reportSeconds,
  };
}
