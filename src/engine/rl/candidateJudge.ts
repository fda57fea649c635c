import type { GraphProto, ModelProto } from 'onnx-buf';
import type { Judge } from '../evaluation/judge.ts';
import { applyPlan } from '../pruning/surgery.ts';
import type { KeptUnits } from '../pruning/types.ts';
import type { Counts, SearchSpace } from './searchSpace.ts';

type Model = ModelProto & { graph: GraphProto };

/** Refits the remaining weights of a pruned network, more or less thoroughly: the reward needs the right order of candidates, the final model the best weights. */
export type Craft = (pruned: Model, kept: KeptUnits) => Promise<Model>;

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
  async make(counts: Counts, craft: Craft): Promise<Model> {
    const kept = this.space.keptFor(counts);
    return craft(applyPlan(this.model, this.space.analysis, kept), kept);
  }

  /** How a choice does on the first `images` images. */
  async score(counts: Counts, craft: Craft, images: number, signal?: AbortSignal): Promise<Score> {
    const { accuracy, probability } = await this.judge.assess(await this.make(counts, craft), images, signal);
    return { accuracy, reward: (accuracy + probability) / 2 };
  }
}
