import { UnreachableTargetError } from '../errors.ts';
import { forwardSeconds } from '../evaluation/forwardCost.ts';
import type { Outcomes } from '../evaluation/judge.ts';
import { type Baseline, type Candidate, type CompressOptions, type RunEvent, formatTarget } from '../protocol.ts';
import { allocate, fillBudget, hasShares } from '../rl/allocation.ts';
import type { CandidateJudge, Craft, Rival, Score } from '../rl/candidateJudge.ts';
import { type Objective, mostAccurate, smallestWithin } from '../rl/objective.ts';
import { handMade, handMadePolicies, type HandMadePolicy } from '../rl/policies.ts';
import { type Episode, allocationExponents, paperSearch, randomSearch, warmSearch } from '../rl/search.ts';
import { ScoringSample } from '../rl/scoringSample.ts';
import type { Counts } from '../rl/searchSpace.ts';
import type { RunFolder } from '../run/runFolder.ts';
import type { Calibration } from './calibrate.ts';
import { shareExpected } from './goal.ts';
import { findStartingPoint } from './guarantee.ts';
import type { Task } from './task.ts';

/** One choice that was judged, by whom. */
export interface Judged { readonly policy: string; readonly counts: Counts; readonly candidate: Candidate }

/** One line of the journal. */
export interface JournalEntry { readonly policy: string; readonly episode: number; readonly counts: Counts; readonly accuracy: number; readonly reward: number; readonly images: number }

/** Within which budget to search, and what the agent is paid for. */
interface SearchPlan { readonly budget: number; readonly objective: Objective; readonly budgetNear?: (best: Counts, position: number) => number }

/** Where the budget is searched for as well: how far from the best choice's cost, to both sides. */
const budgetSpread = 0.06;

/** Images on which a candidate is scored, and those on which the first allocations show which these should be (docs/decisions/scoring-sample.md). */
const scoredImages = 500, trialImages = 1000;

/** How closely candidates are looked at: on how many images, and whether one that is clearly not the best is given up before it has seen all of them. */
export interface Looking { readonly images: number; readonly racing: boolean }

export class Search {
  private readonly calibration: Calibration;
  private readonly task: Task;
  private readonly judge: CandidateJudge;
  private readonly options: CompressOptions;
  private readonly run: RunFolder;
  private readonly context: { emit(event: RunEvent): void; signal: AbortSignal };
  private readonly looking: Looking;
  private readonly known: ReadonlyMap<string, JournalEntry>;
  /** Accuracies of the choices judged so far: policies may hit on the same one. */
  private readonly scored = new Map<string, Score>();
  /** The best choice so far, with which others are compared image by image. */
  private best: { readonly counts: Counts; readonly score: Score; outcomes: Outcomes | undefined } | undefined;
  private craft: Craft;
  private sample: ScoringSample;
  private writing: Promise<void> = Promise.resolve();
  readonly episodes: number;
  private plan: Promise<SearchPlan> | undefined;

  constructor(calibration: Calibration, task: Task, judge: CandidateJudge, options: CompressOptions, run: RunFolder, context: Search['context'], looking: Partial<Looking> = {}) {
    this.calibration = calibration;
    this.task = task;
    this.judge = judge;
    this.options = options;
    this.run = run;
    this.context = context;
    this.looking = { images: scoredImages, racing: true, ...looking };
    this.craft = calibration.quick;
    this.sample = ScoringSample.first(task.judge, trialImages);
    this.known = new Map((run.entries as JournalEntry[]).map((entry) => [`${entry.policy} ${entry.episode}`, entry]));
    this.episodes = options.episodes ?? defaultEpisodes(calibration, task);
  }

  /** Images that each candidate is scored on. */
  get images(): number { return this.sample.images.length; }

  /**
   * Finds the allocation around which candidates are refitted from now on: the least-squares allocations, refitted one after another, are judged, and the
   * best is the anchor. What they get wrong tells on which images candidates are best told apart. A resumed run does this again.
   */
  async anchor(): Promise<void> {
    const guesses = this.allocations((await this.planned()).budget), trials: Rival[] = [];
    for (const counts of guesses) trials.push(await this.judge.score(counts, this.calibration.quick, this.sample, undefined, this.context.signal));
    const at = trials.reduce((best, { score }, i) => (score.reward > trials[best]!.score.reward ? i : best), 0);
    this.craft = await this.calibration.near(guesses[at]!);
    this.sample = ScoringSample.stratified(this.task.judge, trials.map(({ outcomes }) => outcomes), this.looking.images);
    this.scored.clear();
    this.best = undefined;
  }

  /** Allocations by least-squares error, without search: with all groups' errors alike and, where it is known, by what they weigh. */
  private allocations(budget: number): Counts[] {
    const { space } = this.calibration, found = new Map<string, Counts>();
    for (const byShare of hasShares(space) ? [false, true] : [false]) {
      for (const exponent of allocationExponents) {
        const allocated = allocate(space, budget, exponent, { byShare }), counts = allocated && fillBudget(space, allocated, budget, exponent, { byShare });
        if (counts) found.set(counts.join(), counts);
      }
    }
    if (found.size === 0) throw new UnreachableTargetError(`Target ${formatTarget(this.options.target)} can't be reached: no allocation keeps it.`);
    return [...found.values()];
  }

  /** Score of a choice: from the journal where an interrupted run has already found it, otherwise made, judged and written there. */
  private async evaluate(policy: string, counts: Counts, episode: number): Promise<Score> {
    const before = this.known.get(`${policy} ${episode}`), known = before?.counts.join() === counts.join() ? before : undefined;
    const score = await this.scoreOf(counts, known);
    if (!known) await this.write({ policy, episode, counts, accuracy: score.accuracy, reward: score.reward, images: score.images });
    return score;
  }

  /** Score of a choice: the known one, or that of the same choice before, or by judging it against the best so far. */
  async scoreOf(counts: Counts, known?: Score): Promise<Score> {
    const key = counts.join();
    let outcomes: Outcomes | undefined, score = known ?? this.scored.get(key);
    if (!score) {
      const rival = this.best && this.looking.racing && this.calibration.goal.allowedDrop === undefined ? { score: this.best.score, outcomes: this.best.outcomes ??= (await this.judge.score(this.best.counts, this.craft, this.sample)).outcomes } : undefined;
      ({ score, outcomes } = await this.judge.score(counts, this.craft, this.sample, rival, this.context.signal));
    }
    this.scored.set(key, score);
    if (score.images === this.images && score.reward > (this.best?.score.reward ?? -1)) this.best = { counts, score, outcomes };
    return score;
  }

  /** Writes to the journal while the next candidate is judged: a kill loses one episode at most, which a resumed run finds again. */
  private async write(entry: JournalEntry): Promise<void> {
    await this.written();
    this.writing = this.run.append(entry);
    this.writing.catch(() => undefined); // a failure is met where it is awaited
  }

  /** Resolves when all that was found is on the disk. */
  private async written(): Promise<void> {
    await this.calibration.profile.timed('journal', () => this.writing);
  }

  private paid(objective: Objective, counts: Counts, score: Score): Score {
    return { ...score, reward: objective(score, this.calibration.space.costOf(counts)) };
  }

  private judged(policy: string, counts: Counts, { accuracy, reward, images }: Score, episode: number): Judged {
    const { space } = this.calibration;
    return { policy, counts, candidate: { episode, ...space.costOf(counts), accuracy, reward, images, preserve: space.ratiosOf(counts) } };
  }

  /** Within which budget to search and what is paid for: as the target says, or, where accuracy is guaranteed, found by bisection. */
  private planned(): Promise<SearchPlan> { return this.plan ??= this.makePlan(); }

  private async makePlan(): Promise<SearchPlan> {
    const { space, goal: { limits: [{ cost, budget: asked }], allowedDrop } } = this.calibration;
    if (allowedDrop === undefined) return { budget: asked, objective: mostAccurate };
    let probes = 0;
    const { budget, quickFloor } = await findStartingPoint(space, allowedDrop, {
      quick: async (counts) => (await this.evaluate('allocation', counts, ++probes)).accuracy,
      thorough: (counts) => this.evaluateThoroughly(counts),
    });
    const whole = cost === 'params' ? space.analysis.params : space.analysis.macs, least = space.spent(space.least);
    return {
      budget, objective: smallestWithin(1 - quickFloor, cost, whole),
      budgetNear: (best, position) => Math.min(1, Math.max(least, space.spent(best) * (1 + budgetSpread * (2 * position - 1.25)))),
    };
  }

  /** Accuracy of a choice on the scored images when it is made as well as the final model. */
  private async evaluateThoroughly(counts: Counts): Promise<number> {
    const before = this.known.get('thorough 0');
    if (before && before.counts.join() === counts.join()) return before.accuracy;
    const { score } = await this.judge.score(counts, await this.calibration.thorough(), this.sample, undefined, this.context.signal);
    if (!before) await this.write({ policy: 'thorough', episode: 0, counts, ...score });
    return score.accuracy;
  }

  /** The hand-made policies at the same budget, one evaluation each. */
  async baselines(): Promise<Judged[]> {
    const { space } = this.calibration, { budget, objective } = await this.planned(), found: Judged[] = [];
    for (const policy of Object.keys(handMadePolicies) as HandMadePolicy[]) {
      const counts = handMade(space, policy, budget);
      if (!counts) continue;
      const judged = this.judged(policy, counts, this.paid(objective, counts, await this.evaluate(policy, counts, 0)), 0);
      found.push(judged);
      this.context.emit({ type: 'baseline', baseline: baselineOf(judged), preserve: judged.candidate.preserve });
    }
    return found;
  }

  /** The agent's episodes. */
  agent(): Promise<Judged[]> { return this.follow(this.episodesOfAgent()); }

  /** The agent's episodes one by one. */
  async *episodesOfAgent(): AsyncGenerator<Episode> {
    const { space, goal } = this.calibration, { features } = space, { budget, objective, budgetNear } = await this.planned();
    const searchOptions = {
      budget, episodes: this.episodes, seed: this.options.seed, signal: this.context.signal, ...(budgetNear ? { budgetNear } : {}),
      evaluate: async (counts: Counts, episode: number) => this.paid(objective, counts, await this.evaluate('agent', counts, episode)),
    };
    if (this.options.agent === 'paper') yield* paperSearch(space, features, { ...searchOptions, budget: goal.limits[0].budget });
    else yield* warmSearch(space, features, await this.guesses(), searchOptions);
  }

  /** What the warm agent tries first: the allocations by least-squares error, and the hand-made policies. */
  async guesses(): Promise<Counts[]> {
    const { space } = this.calibration, { budget } = await this.planned(), guesses = new Map(this.allocations(budget).map((counts) => [counts.join(), counts]));
    for (const policy of Object.keys(handMadePolicies) as HandMadePolicy[]) {
      const counts = handMade(space, policy, budget);
      if (counts) guesses.set(counts.join(), counts);
    }
    return [...guesses.values()];
  }

  /** Random search with as many evaluations as the agent has. */
  async random(): Promise<Judged[]> {
    const { space } = this.calibration, { budget, objective } = await this.planned(), found: Judged[] = [];
    for await (const { counts, score, episode } of randomSearch(space, { budget, episodes: this.episodes, seed: this.options.seed, signal: this.context.signal, evaluate: async (counts, episode) => this.paid(objective, counts, await this.evaluate('random', counts, episode)) })) {
      found.push(this.judged('random', counts, score, 0));
      this.context.emit({ type: 'stage', stage: 'search', fraction: episode / this.episodes, message: 'random search' });
    }
    await this.written();
    const best = bestOf(found);
    this.context.emit({ type: 'baseline', baseline: baselineOf(best), preserve: best.candidate.preserve });
    return found;
  }

  private async follow(episodes: AsyncGenerator<Episode>): Promise<Judged[]> {
    const found: Judged[] = [], { profile } = this.calibration, before = profile.total, start = performance.now();
    let bestAccuracy = 0, last = start;
    for await (const { counts, score, episode, best } of episodes) {
      const judged = this.judged('agent', counts, score, episode), now = performance.now();
      found.push(judged);
      if (best) bestAccuracy = score.accuracy;
      this.context.emit({
        type: 'episode', candidate: judged.candidate, best, bestAccuracy, episodes: this.episodes, seconds: (now - last) / 1000,
        secondsLeft: ((now - start) / 1000 / episode) * (this.episodes - episode), images: score.images,
      });
      last = now;
    }
    await this.written();
    profile.add('agent', (performance.now() - start) / 1000 - (profile.total - before));
    return found;
  }
}

/** The first of those with the highest reward. */
export const bestOf = (judged: readonly Judged[]): Judged => judged.reduce((best, each) => (each.candidate.reward > best.candidate.reward ? each : best));

export const baselineOf = ({ policy, candidate: { macs, accuracy } }: Judged): Baseline => ({ policy, macs, accuracy });

/** Episodes that take about a minute: passes of the pruned network over most of the scored images, and what making a network takes. */
function defaultEpisodes({ space: { analysis }, goal }: Calibration, task: Task): number {
  const each = 0.8 * forwardSeconds(analysis) * shareExpected(goal) * Math.min(scoredImages, task.judge.images.count) + 0.1;
  return Math.round(Math.min(200, Math.max(40, 60 / each)));
}
