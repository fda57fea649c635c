import type { GraphProto, ModelProto } from 'onnx-buf';
import type { Judge } from '../evaluation/judge.ts';
import { applyPlan } from '../pruning/surgery.ts';
import type { RefitOptions, SequentialRefit } from '../reconstruction/sequentialRefit.ts';
import type { Counts, SearchSpace } from './searchSpace.ts';

type Model = ModelProto & { graph: GraphProto };

/** How thoroughly a candidate is made: the reward needs the right order of candidates, the final model the best weights. */
export interface Craft { readonly refit: SequentialRefit; readonly options: RefitOptions }

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
    return refit.refit(applyPlan(this.model, this.space.analysis, kept), kept, options);
  }

  /** Accuracy of a choice on the first `images` images. */
  async score(counts: Counts, craft: Craft, images: number): Promise<number> {
    return this.judge.accuracy(await this.make(counts, craft), images, craft.options.signal);
  }
}
