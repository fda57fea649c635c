import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createDeflateRaw } from 'node:zlib';
import { version } from '../../../package.json';
import { sha256OfFile } from '../data/identity.ts';
import { measureLatency } from '../evaluation/latency.ts';
import { inputShapesOf } from '../evaluation/samples.ts';
import { loadModel } from '../onnx/modelFile.ts';
import { floatsOf, isFloatTensor } from '../onnx/tensor.ts';
import type { CompressOptions, LayerReport, Measurements, Report, Target } from '../protocol.ts';
import { analyse } from '../pruning/analysis.ts';
import { layerWidths } from '../pruning/costs.ts';
import { sparseStorage } from '../pruning/sparseStorage.ts';
import type { Analysis, KeptUnits } from '../pruning/types.ts';
import type { SearchSpace } from '../rl/searchSpace.ts';
import type { Network } from './network.ts';
import type { Finalist } from './finish.ts';
import type { Standing } from './rebuild.ts';
import { type Judged, baselineOf } from './search.ts';
import type { Task } from './task.ts';

/** Measures two model files on the user's disk: nothing is carried over from the search. */
async function measureFiles(network: Network, out: string, task: Task, options: CompressOptions): Promise<{ before: Measurements; after: Measurements; pruned: Analysis }> {
  const { proto, sizeBytes } = await loadModel(out), pruned = await analyse(proto);
  const [before, after] = await measureLatency([network.file, proto], { batch: 1, threads: options.threads, inputShapes: inputShapesOf(task.judge.images) });
  const accuracy = async (model: Network['file']) => ({ metric: task.judge.metric, value: model === network.proto ? task.judge.original : await task.judge.accuracy(model), images: task.judge.images.count, dataset: task.dataset });
  const storageOf = async (path: string, model: Network['proto'], size: number): Promise<Pick<Measurements, 'sparse'>> => {
    if (options.method === 'channels') return {};
    return { sparse: { ...sparseStorage(model, size), zipBytes: await deflatedBytes(path) } };
  };
  return {
    before: { macs: network.analysis.macs, params: network.analysis.params, sizeBytes: network.sizeBytes, ...await storageOf(network.path, network.file, network.sizeBytes), latencyMs: before!, accuracy: await accuracy(network.file) },
    after: { macs: pruned.macs, params: pruned.params, sizeBytes, ...await storageOf(out, proto, sizeBytes), latencyMs: after!, accuracy: await accuracy(proto) },
    pruned,
  };
}

/** Bytes of a file when a zip archive compresses it. */
async function deflatedBytes(path: string): Promise<number> {
  let bytes = 0;
  await pipeline(createReadStream(path), createDeflateRaw(), async (chunks: AsyncIterable<Buffer>) => { for await (const { length } of chunks) bytes += length; });
  return bytes;
}

/** Every layer before and after. @param pruned the written model's analysis */
export function layerReports(analysis: Analysis, kept: KeptUnits, pruned: Analysis): LayerReport[] {
  const after = new Map(pruned.layers.map((layer) => [layer.output, layer])), widths = layerWidths(analysis, kept);
  const { axes } = analysis.structure.facts, prunedFacts = pruned.structure.facts;
  return analysis.layers.map((layer, i): LayerReport => {
    const { name, opType, macs: macsBefore } = layer, channelsBefore = axes.shapeOf(layer.weight)?.[layer.outAxis] ?? 1;
    if (widths[i]!.ins * widths[i]!.outs === 0) return { name, opType, preserveRatio: 0, weightSparsity: 0, macsBefore, macsAfter: 0, channelsBefore, channelsAfter: 0 };
    const now = after.get(layer.output), weight = now && prunedFacts.view.constants.get(now.weight);
    const channelsAfter = now ? (prunedFacts.axes.shapeOf(now.weight)?.[now.outAxis] ?? channelsBefore) : channelsBefore;
    const values = weight && isFloatTensor(weight) ? floatsOf(weight) : new Float32Array(0);
    return {
      name, opType, preserveRatio: channelsAfter / channelsBefore, weightSparsity: values.length > 0 ? values.reduce((zeros, value) => zeros + Number(value === 0), 0) / values.length : 0,
      macsBefore, macsAfter: now?.macs ?? macsBefore, channelsBefore, channelsAfter,
    };
  });
}

/** Which branches went as a whole, for people; empty where none did. */
export function removedBranches({ groups }: Analysis, kept: KeptUnits): string[] {
  const gone = groups.filter(({ id }) => kept.get(id)?.length === 0).map(({ name }) => name);
  return gone.length === 0 ? [] : [`${gone.length} of ${groups.filter(({ removable }) => removable).length} branches beside shortcuts were removed as a whole, since narrower ones would have saved little time: ${gone.join(', ')}.`];
}

/** Choices that no other one beats in both cost and accuracy, cheapest first. */
export function paretoFront(judged: readonly Judged[]): Judged[] {
  const sorted = [...judged].sort(({ candidate: a }, { candidate: b }) => a.macs - b.macs || b.accuracy - a.accuracy);
  const front: Judged[] = [];
  for (const each of sorted) if (each.candidate.accuracy > (front.at(-1)?.candidate.accuracy ?? -1)) front.push(each);
  return front;
}

export interface Findings {
  readonly network: Network;
  readonly space: SearchSpace;
  readonly task: Task;
  readonly out: string;
  readonly winner: Finalist;
  /** Each policy's best choice on all images, all repaired alike. */
  readonly standings: ReadonlyMap<string, Standing>;
  readonly agent: readonly Judged[];
  readonly baselines: readonly Judged[];
  /** The baselines as the search judged them. */
  readonly rivals: readonly Judged[];
  readonly profile: Readonly<Record<string, number>>;
  readonly steps: Report['steps'];
  readonly notes: readonly string[];
}

/** report.json: everything measured from the written file. */
export async function makeReport({ network, space, task, out, winner, standings, agent, baselines, rivals, profile, steps, notes: stepNotes }: Findings, options: CompressOptions, seconds: () => Record<string, number>): Promise<Report> {
  const { before, after, pruned } = await measureFiles(network, out, task, options);
  const kept = space.keptFor(winner.counts), notes = [...task.notes, ...removedBranches(network.analysis, kept), ...stepNotes], own = standings.get('agent')!;
  if (network.fileType !== undefined) notes.push(`The numbers of the model are ${network.fileType}: it was searched and repaired as float32, and written as ${network.fileType} again. The accuracy and the times are those of the files.`);
  if (winner.policy !== 'agent') notes.push(whyBaseline(winner.policy, standings, options.target));
  if (options.method === 'weights') notes.push('Single weights were pruned: the file and its time stay as they were until it is stored in a zip, or run by a program that makes use of zeros.');
  else if (after.latencyMs.median > before.latencyMs.median * 0.95) notes.push('On this machine the smaller model is not clearly faster at batch 1: its layers are too small for the arithmetic to dominate, or their widths do not suit its kernels. --target latency=R searches for time instead; --round-to 16 gives widths that kernels like, which costs narrow networks much accuracy.');
  const candidates = agent.map(({ candidate }) => candidate), written = agent.find(({ counts }) => counts.join() === winner.counts.join())?.candidate.episode;
  return {
    format: 'auto-compress/report@1', model: { path: network.path, sha256: network.sha256 }, out, outSha256: await sha256OfFile(out), target: options.target, policy: winner.policy, ...(written === undefined ? {} : { writtenEpisode: written }), before, after,
    layers: layerReports(network.analysis, kept, pruned), pareto: paretoFront([...agent, ...baselines]).map(({ candidate }) => candidate), candidates,
    baselines: [...baselines].map((judged) => ({ ...baselineOf(judged), accuracy: standings.get(judged.policy)?.accuracy ?? judged.candidate.accuracy })), searchedBaselines: rivals.map(baselineOf),
    agent: { policy: 'agent', macs: space.costOf(own.counts).macs, accuracy: own.accuracy }, profile: rounded(profile),
    episodes: agent.length, steps, seconds: seconds(), seed: options.seed, versions: versions(), notes,
  };
}

/** Why a baseline's model was written and not the agent's, for people: by what was compared alike. */
export function whyBaseline(policy: string, standings: ReadonlyMap<string, Standing>, { metric }: Target): string {
  const [its, agents] = [policy, 'agent'].map((each) => standings.get(each)?.accuracy ?? 0) as [number, number];
  const how = metric === 'accuracy-drop' ? 'was smaller than the agent while keeping the accuracy' : its > agents ? `was better than the agent (${percent(its)} against ${percent(agents)}, repaired alike)` : 'was better than the agent once both were repaired thoroughly';
  return `The ${policy} baseline ${how}, so its model was written.`;
}
const rounded = (values: Readonly<Record<string, number>>): Record<string, number> => Object.fromEntries(Object.entries(values).map(([key, value]) => [key, Math.round(value * 1000) / 1000]));

const percent = (fraction: number): string => `${(100 * fraction).toFixed(2)}%`;

/** The project's own package.json: beside the bundle's folder, or further up when run from the sources. */
function versions(): Record<string, string> {
  return { 'auto-compress': version, node: process.versions.node };
}
