import type { GraphProto, ModelProto } from 'onnx-buf';
import type { Judge } from '../evaluation/judge.ts';
import { applyPlan } from '../pruning/surgery.ts';
import type { RefitOptions, SequentialRefit } from '../reconstruction/sequentialRefit.ts';
import type { Counts, SearchSpace } from './searchSpace.ts';

type Model = ModelProto & { graph: GraphProto };

/** How thoroughly a candidate is made: the reward needs the right order of candidates, the final model the best weights. */
export interface Craft { readonly refit: SequentialRefit; readonly options: RefitOptions }

/** Accuracy, and the reward made of it: half accuracy, half the mean probability of the right answers, which varies less from sample to sample. */
export interface Score { readonly accuracy: number; readonly reward: number }

/** Makes the network of a choice and judges it. */
export class CandidateJudge {
  private readonly model: Model;
  private readonly space: SearchSpace;
  private readonly judge: Judge;

  constructor(model: Model, space: SearchSpace, judge: Judge) {
    this.model = model;
    this.space = space;
    this.judge = judge;
  }

  /** The pruned network with its remaining weights refitted. */
  async make(counts: Counts, { refit, options }: Craft): Promise<Model> {
    const kept = this.space.keptFor(counts);
    return refit.refit(applyPlan(this.model, this.space.analysis, kept), kept, { ...options, densities: this.space.densitiesFor(counts) });
  }

  /** How a choice does on the first `images` images. */
  async score(counts: Counts, craft: Craft, images: number): Promise<Score> {
    const { accuracy, probability } = await this.judge.assess(await this.make(counts, craft), images, craft.options.signal);
    return { accuracy, reward: (accuracy + probability) / 2 };
  }
}
