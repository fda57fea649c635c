import type { GraphProto, ModelProto } from 'onnx-buf';
import type { Judge, Outcomes } from '../evaluation/judge.ts';
import { concatenated } from '../numerics/concatenated.ts';
import { Profile } from '../numerics/profile.ts';
import { applyPlan } from '../pruning/surgery.ts';
import type { KeptUnits } from '../pruning/types.ts';
import { type ScoringSample, asFraction } from './scoringSample.ts';
import type { Counts, SearchSpace } from './searchSpace.ts';

type Model = ModelProto & { graph: GraphProto };

/** Refits the remaining weights of a pruned network (and leaves the given share of them, by a layer's weight), more or less thoroughly: the reward needs the right order of candidates, the final model the best weights. */
export type Craft = (prune: Prune, kept: KeptUnits, densities: ReadonlyMap<string, number>) => Promise<Model>;
/** The network after surgery; weights that are `replaced` hold no values. */
export type Prune = (replaced?: ReadonlySet<string>) => Model;

/** Accuracy, and the reward made of it: half accuracy, half the mean probability of the right answers, which varies less from sample to sample; estimated for all images. */
export interface Score {
  readonly accuracy: number;
  readonly reward: number;
  /** Images that were looked at: fewer than asked for where that was enough to see that the candidate is not the best. */
  readonly images: number;
}

/** What a candidate is compared with: the best so far, image by image. */
export interface Rival { readonly score: Score; readonly outcomes: Outcomes }

/** Standard errors below the best at which a candidate is given up: of two looks at once, wrongly in about one of 50 cases where the two are equal (docs/decisions/scoring-sample.md). */
export const confidence = 2.576;
/** Shares of the images after which a candidate may be given up, and images below which the standard error is too uncertain for that. */
const stops = [0.2, 0.5], fewest = 30;
/** Numbers of images, of so many, after which a candidate may be given up. */
export const stopsOf = (count: number): number[] => stops.map((share) => Math.ceil(share * count)).filter((images) => images >= fewest);

/** Makes the network of a choice and judges it. */
export class CandidateJudge {
  private readonly model: Model;
  private readonly space: SearchSpace;
  private readonly judge: Judge;
  private readonly profile: Profile;

  constructor(model: Model, space: SearchSpace, judge: Judge, profile = new Profile()) {
    this.model = model;
    this.space = space;
    this.judge = judge;
    this.profile = profile;
  }

  /** The pruned network with its remaining weights refitted. */
  async make(counts: Counts, craft: Craft): Promise<Model> {
    const kept = this.space.keptFor(counts);
    return craft((replaced) => applyPlan(this.model, this.space.analysis, kept, replaced), kept, this.space.densitiesFor(counts));
  }

  /**
   * How a choice does on a sample of the images. With a rival the images are looked at in stages, and a candidate that is clearly worse on those seen so far
   * gets the rival's score less the estimated difference.
   */
  async score(counts: Counts, craft: Craft, sample: ScoringSample, rival?: Rival, signal?: AbortSignal): Promise<Rival> {
    const model = await this.profile.timed('refit', () => this.make(counts, craft)), trial = await this.profile.timed('session', () => this.judge.trial(model)), count = sample.images.length;
    try {
      let seen: Outcomes = { right: new Float32Array(0), probability: new Float32Array(0) };
      for (const to of [...(rival ? stopsOf(count) : []), count]) {
        const from = seen.right.length;
        seen = joined(seen, await this.profile.timed('inference', () => trial.look(sample.images.subarray(from, to), signal)));
        if (!rival || to === count) break;
        const gap = sample.difference(seen, rival.outcomes);
        if (gap.reward + confidence * gap.standardError < 0) {
          return { score: { accuracy: asFraction(rival.score.accuracy + gap.accuracy), reward: rival.score.reward + gap.reward, images: to }, outcomes: seen };
        }
      }
      return { score: { ...sample.estimate(seen), images: count }, outcomes: seen };
    } finally {
      await trial.release();
    }
  }
}

const joined = (a: Outcomes, b: Outcomes): Outcomes => ({ right: concatenated([a.right, b.right]), probability: concatenated([a.probability, b.probability]) });
