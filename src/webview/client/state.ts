/** What a run looks like so far, built from its events: one pure reducer, used by the host (which owns the history) and by the dashboard. */
import type { Accuracy, Baseline, Candidate, CompressOptions, GroupSummary, Latency, LayerReport, LayerSummary, Metric, Report, RunEvent, Stage } from '../../engine/protocol.ts';

export type RunStatus = 'queued' | 'running' | 'stopping' | 'stopped' | 'interrupted' | 'crashed' | 'failed' | 'done';

export interface ModelView {
  readonly path: string; readonly macs: number; readonly params: number; readonly sizeBytes: number;
  readonly layers: readonly LayerSummary[]; readonly groups: readonly GroupSummary[];
  readonly frozen: readonly { readonly name: string; readonly reason: string }[];
}
export interface DataView { readonly images: number; readonly classes: number; readonly preprocessing: string; readonly metric: Metric; readonly accuracy: number }
/** How a training step stood: loss so far in the epoch, and accuracy on the run's images where an epoch is over. */
export interface TrainingPoint { readonly stage: 'refine' | 'finetune'; readonly epoch: number; readonly epochs: number; readonly loss: number; readonly accuracy?: number }
export interface BaselinePoint extends Baseline { readonly preserve: readonly number[] }

/** Everything the screens of a run show. Plain data: it crosses to the webview by message. */
export interface RunView {
  readonly runDir?: string;
  readonly out?: string;
  readonly stage?: Stage;
  readonly stageMessage?: string;
  /** How far the stage at work is, in [0, 1], by what it said last. */
  readonly stageFraction?: number;
  readonly model?: ModelView;
  readonly data?: DataView;
  readonly baselines: readonly BaselinePoint[];
  /** In the order of their episodes. */
  readonly candidates: readonly Candidate[];
  /** Episode of the best candidate so far. */
  readonly bestEpisode?: number;
  readonly episodesPlanned: number;
  readonly secondsLeft?: number;
  /** Progress of refinement and fine-tuning: one point an epoch, in order. */
  readonly training: readonly TrainingPoint[];
  readonly warnings: readonly string[];
  readonly report?: Report;
}

export const emptyRunView: RunView = { baselines: [], candidates: [], episodesPlanned: 0, training: [], warnings: [] };

/** Adds or replaces by episode: a resumed run may tell again what it told before. */
function withCandidates(candidates: readonly Candidate[], told: readonly Candidate[]): readonly Candidate[] {
  const all = [...candidates, ...told];
  if (all.every(({ episode }, index) => index === 0 || episode > all[index - 1]!.episode)) return all;
  return [...new Map(all.map((candidate) => [candidate.episode, candidate])).values()].sort((a, b) => a.episode - b.episode);
}

/** Adds a point: those of finished epochs stay, the one on the way is renewed. A resumed run that steps back drops what it trains again. */
function withTraining(training: readonly TrainingPoint[], point: TrainingPoint): readonly TrainingPoint[] {
  const kept = training.filter(({ stage, epoch, accuracy }) => stage !== point.stage || (epoch < point.epoch && accuracy !== undefined));
  return [...kept, point];
}

/**
 * The view after further events. Their candidates are taken in at once: one by one, a long history would be copied as often as it has episodes. What was tried before a run began anew is not
 * part of it.
 */
export function applyEvents(view: RunView, events: readonly RunEvent[]): RunView {
  const sinceStart = events.slice(events.findLastIndex((event) => event.type === 'run' && !event.resumed) + 1);
  const told = sinceStart.flatMap((event) => (event.type === 'episode' ? [event.candidate] : [])), after = events.reduce(applyEvent, view);
  return told.length > 0 ? { ...after, candidates: withCandidates(after.candidates, told) } : after;
}

/** The view after an event, all but its candidate. */
function applyEvent(view: RunView, event: RunEvent): RunView {
  switch (event.type) {
    case 'run': return { ...(event.resumed ? without(view, 'stage', 'stageMessage', 'stageFraction', 'secondsLeft') : emptyRunView), runDir: event.runDir, out: event.out };
    case 'stage': return {
      ...without(view, 'stageMessage', 'stageFraction', 'secondsLeft'), stage: event.stage, ...(event.secondsLeft === undefined ? {} : { secondsLeft: event.secondsLeft }),
      ...(event.message === undefined ? {} : { stageMessage: event.message }), ...(event.fraction === undefined ? {} : { stageFraction: event.fraction }),
    };
    case 'model': {
      const { path, macs, params, sizeBytes, layers, groups, frozen } = event;
      return { ...view, model: { path, macs, params, sizeBytes, layers, groups, frozen } };
    }
    case 'data': {
      const { images, classes, preprocessing, metric, accuracy } = event;
      return { ...view, data: { images, classes, preprocessing, metric, accuracy } };
    }
    case 'baseline': return { ...view, baselines: [...view.baselines.filter(({ policy }) => policy !== event.baseline.policy), { ...event.baseline, preserve: event.preserve }] };
    case 'episode': return {
      ...view, episodesPlanned: event.episodes, secondsLeft: event.secondsLeft, stageFraction: event.candidate.episode / Math.max(1, event.episodes),
      ...(event.best ? { bestEpisode: event.candidate.episode } : {}),
    };
    case 'training': {
      const { epoch, epochs, loss, accuracy } = event, stage = view.stage === 'refine' ? 'refine' : 'finetune';
      return { ...view, secondsLeft: event.secondsLeft, stageFraction: epoch / Math.max(1, epochs), training: withTraining(view.training, { stage, epoch, epochs, loss, ...(accuracy === undefined ? {} : { accuracy }) }) };
    }
    case 'warning': return { ...view, warnings: view.warnings.includes(event.message) ? view.warnings : [...view.warnings, event.message] };
    case 'result': {
      const { candidates: all, writtenEpisode } = event.summary, candidates = view.candidates.length < all.length ? all : view.candidates; // what a terminal went on with was not told here
      return {
        ...without(view, 'secondsLeft', 'stageMessage', 'stageFraction'), out: event.out, report: event.summary, candidates,
        ...(writtenEpisode === undefined ? {} : { bestEpisode: writtenEpisode }),
      };
    }
    case 'error': return without(view, 'secondsLeft'); // what went wrong is the record's
    // a newer engine may say more than this version understands: what is unknown changes nothing
    default: event satisfies never; return view;
  }
}

const without = (view: RunView, ...keys: (keyof RunView)[]): RunView =>
  Object.fromEntries(Object.entries(view).filter(([key]) => !keys.includes(key as keyof RunView))) as unknown as RunView;

/** Accuracy, at each episode, of the best candidate until then: the one of highest reward, whose accuracy another may exceed. */
export function bestAccuracies(candidates: readonly Candidate[]): readonly number[] {
  let best = candidates[0];
  return candidates.map((candidate) => (best = candidate.reward > best!.reward ? candidate : best!).accuracy);
}

// ---------------------------------------------------------------- points of the trade-off

export type PointKind = 'original' | 'baseline' | 'candidate' | 'pareto' | 'best' | 'written';
export const costAxes = ['macs', 'params', 'latency'] as const;
export type CostAxis = (typeof costAxes)[number];

/** One network on the trade-off: cost as a fraction of the original, accuracy in [0, 1]. */
export interface Point {
  /** Stable between updates: 'original', 'written', 'baseline:NAME' or 'episode:N'. */
  readonly id: string;
  readonly kind: PointKind;
  /** Whether no candidate beats it in both cost and accuracy; the best one need not be there on every axis. */
  readonly onFront: boolean;
  readonly label: string;
  readonly cost: number;
  readonly accuracy: number;
  readonly episode?: number;
  /** What it keeps of each group; the layers of the original and of the written model are known without. */
  readonly preserve?: readonly number[];
  /** Whether it can be chosen, so that its layers are shown: a run of the command line is known by its report alone, which has those of the written model only. */
  readonly choosable: boolean;
}

/** Accuracy of the original on the run's images, where it is known. */
export const originalAccuracy = (view: RunView): number | undefined => view.report?.before.accuracy.value ?? view.data?.accuracy;

/** Costs of the written model as fractions of the original, measured from its file: those of the weights that are not zero, where single weights were pruned. */
function writtenCosts({ before, after, layers }: Report): Readonly<Record<CostAxis, number>> {
  const latency = after.latencyMs.median / before.latencyMs.median;
  if (!before.sparse || !after.sparse) return { macs: after.macs / before.macs, params: after.params / before.params, latency };
  const multiplied = layers.reduce((sum, { macsAfter, weightSparsity }) => sum + macsAfter * (1 - weightSparsity), 0), all = layers.reduce((sum, { macsBefore }) => sum + macsBefore, 0);
  return { macs: share(multiplied, all), params: share(after.sparse.nonZero, before.sparse.nonZero), latency };
}

/** Axes on which there is more to see than the original. */
export const shownAxes = (view: RunView): readonly CostAxis[] => costAxes.filter((axis) => axis !== 'latency' || view.report !== undefined || view.candidates.some(({ latency }) => latency !== undefined));

/** Networks that no other beats in both cost and accuracy, by rising cost. */
export function paretoFront<T extends { readonly cost: number; readonly accuracy: number }>(networks: readonly T[]): readonly T[] {
  const front: T[] = [];
  for (const network of [...networks].sort((a, b) => a.cost - b.cost || b.accuracy - a.accuracy)) {
    if (front.length === 0 || network.accuracy > front.at(-1)!.accuracy) front.push(network);
  }
  return front;
}

/**
 * All networks that the run knows of and whose cost is known, by rising cost. The written model is one of its own, with what was measured from its file: it was repaired more thoroughly than any
 * candidate, perhaps trained, and after a search for guaranteed accuracy or time it need not be the network of any.
 */
export function tradeOffPoints(view: RunView, axis: CostAxis): readonly Point[] {
  const { report } = view, costed = view.candidates.flatMap((candidate) => { const cost = candidate[axis]; return cost === undefined ? [] : [{ ...candidate, cost }]; });
  const layersOf = (preserve: readonly number[]) => (view.model ? { preserve, choosable: true } : { choosable: false });
  const front = new Set(paretoFront(costed).map(({ episode }) => episode));
  const points: Point[] = costed.map(({ episode, cost, accuracy, preserve }) => ({
    id: `episode:${episode}`, label: String(episode), cost, accuracy, episode, ...layersOf(preserve), onFront: front.has(episode), kind: episode === view.bestEpisode ? 'best' : front.has(episode) ? 'pareto' : 'candidate',
  }));
  const accuracy = originalAccuracy(view);
  if (accuracy !== undefined) points.push({ id: 'original', kind: 'original', onFront: false, label: '', cost: 1, accuracy, choosable: false });
  if (axis === 'macs') for (const { policy, macs, accuracy: value, preserve } of view.baselines) points.push({ id: `baseline:${policy}`, kind: 'baseline', onFront: false, label: policy, cost: macs, accuracy: value, ...layersOf(preserve) });
  if (report) points.push({ id: 'written', kind: 'written', onFront: false, label: report.out.split(/[\\/]/).at(-1)!, cost: writtenCosts(report)[axis], accuracy: report.after.accuracy.value, choosable: view.model !== undefined });
  return points.sort((a, b) => a.cost - b.cost);
}

/** The point whose layers are shown: the chosen one while it exists, otherwise the written one, or the best so far. */
export function shownPoint(view: RunView, chosen: string | undefined): Point | undefined {
  const points = tradeOffPoints(view, 'macs'), otherwise: PointKind = view.report ? 'written' : 'best';
  return points.find(({ id, choosable }) => id === chosen && choosable) ?? points.find(({ kind }) => kind === otherwise);
}

// ---------------------------------------------------------------- layers

export interface LayerRow {
  readonly name: string; readonly opType: string;
  readonly channelsBefore: number; readonly channelsAfter: number;
  /** Share of the original model's MACs, in [0, 1]. */
  readonly macsShare: number;
  readonly weightSparsity?: number;
  readonly frozen: boolean;
}

/** Each layer with the channels, or the share of weights, that `point` keeps; measured figures where the point is the written model. */
export function layerRows(view: RunView, point: Point | undefined, method: CompressOptions['method']): readonly LayerRow[] {
  if (view.report && (point?.kind === 'written' || !view.model)) return view.report.layers.map(fromReport(view.report.before.macs));
  const { model } = view;
  if (!model) return [];
  return model.layers.map(({ name, opType, macs, outChannels, group }) => {
    const preserve = point?.preserve?.[group] ?? 1;
    const kept = method === 'weights' ? { channelsAfter: outChannels, weightSparsity: 1 - preserve } : { channelsAfter: preserve > 0 ? Math.max(1, Math.round(preserve * outChannels)) : 0 }; // none of a branch that went as a whole
    return { name, opType, channelsBefore: outChannels, ...kept, macsShare: share(macs, model.macs), frozen: group < 0 };
  });
}

/** How much of a layer is kept, in [0, 1]: of its channels or, where it has all of them, of its weights. */
export const keptFraction = ({ channelsBefore, channelsAfter, weightSparsity = 0 }: Pick<LayerRow, 'channelsBefore' | 'channelsAfter' | 'weightSparsity'>): number => (channelsAfter < channelsBefore ? channelsAfter / channelsBefore : 1 - weightSparsity);

/** What a run removes: as its report tells, or its options do. */
export const methodOf = ({ report }: RunView, asked: CompressOptions['method'] | undefined): CompressOptions['method'] => (report ? (report.after.sparse ? 'weights' : 'channels') : asked ?? 'channels');

const fromReport = (macs: number) => ({ name, opType, channelsBefore, channelsAfter, weightSparsity, macsBefore }: LayerReport): LayerRow =>
  ({ name, opType, channelsBefore, channelsAfter, weightSparsity, macsShare: share(macsBefore, macs), frozen: false });

const share = (part: number, whole: number) => (whole > 0 ? part / whole : 0);

// ---------------------------------------------------------------- in words

/**
 * The figures of the summary sentence. Ratios are before / after, lost accuracy in percentage points. The speed counts as changed when
 * each median lies outside the other's range from 10% to 90%: less is within the noise of the machine. Where single weights were pruned the file and its time stay as they were, and `weights` tells what changed.
 */
export interface Outcome { readonly speedChanged: boolean; readonly macsRatio: number; readonly paramsRatio: number; readonly sizeRatio: number; readonly speedRatio: number; readonly pointsLost: number; readonly accuracy: Accuracy; readonly weights?: { readonly nonZeroRatio: number; readonly zipRatio: number } }
/** Whether accuracy was won, at the one digit that sentences show: what rounds to nothing was not. */
export const isWon = (pointsLost: number): boolean => Math.round(10 * pointsLost) < 0;
/** What of it lists show. */
export type ListedOutcome = Pick<Outcome, 'macsRatio' | 'speedRatio' | 'speedChanged' | 'pointsLost' | 'weights'>;

export function outcomeOf({ before, after }: Report): Outcome {
  const outside = (value: number, { p10, p90 }: Latency) => value < p10 || value > p90;
  return {
    speedChanged: outside(before.latencyMs.median, after.latencyMs) && outside(after.latencyMs.median, before.latencyMs),
    macsRatio: before.macs / after.macs, paramsRatio: before.params / after.params, sizeRatio: before.sizeBytes / after.sizeBytes,
    speedRatio: before.latencyMs.median / after.latencyMs.median, pointsLost: 100 * (before.accuracy.value - after.accuracy.value), accuracy: after.accuracy,
    ...(before.sparse && after.sparse ? { weights: { nonZeroRatio: before.sparse.nonZero / after.sparse.nonZero, zipRatio: before.sparse.zipBytes / after.sparse.zipBytes } } : {}),
  };
}
