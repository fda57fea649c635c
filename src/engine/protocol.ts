/** What crosses a process border: the options of a run, the events it sends, and its files. Types and run-time validation in one place. */
import { z } from 'zod';
import { InputError } from './errors.ts';

// ---------------------------------------------------------------- options

export const targetMetrics = ['macs', 'params', 'size', 'latency', 'accuracy-drop'] as const;
export const metrics = ['top1', 'top5', 'agreement'] as const;

const budgetSchema = z.strictObject({ metric: z.enum(targetMetrics), value: z.number() });
/** A budget: a fraction of the original that must not be exceeded (macs, params, size, latency), or the points of accuracy that may be lost; `and`: further budgets that are kept as well. */
export const targetSchema = budgetSchema.extend({ and: z.array(budgetSchema).readonly().exactOptional() });
export type Budget = z.infer<typeof budgetSchema>;
export type Target = z.infer<typeof targetSchema>;
/** All that a target asks to be kept. */
export const budgetsOf = (target: Target): readonly Budget[] => [target, ...(target.and ?? [])];
/** `macs=0.5,latency=0.6`: what `parseTarget` reads. */
export const formatTarget = (target: Target): string => budgetsOf(target).map(({ metric, value }) => `${metric}=${value}`).join();
export type Metric = (typeof metrics)[number];

/**
 * The options of `compress`, with their units, ranges and defaults. Paths are absolute once they reach the engine.
 * `seconds` bounds the search; `episodes` unset lets the time budget and convergence decide.
 */
export const compressOptionsSchema = z.strictObject({
  model: z.string().min(1).describe('The trained ONNX model. It is never changed.'),
  val: z.string().min(1).describe('Images on which candidates are judged.'),
  calibration: z.string().min(1).optional().describe('Images for the least-squares repair; no labels are used. Default: part of the validation images.'),
  train: z.string().min(1).optional().describe('Labelled or unlabelled images for fine-tuning.'),
  target: targetSchema,
  method: z.enum(['channels', 'weights']).default('channels').describe('Remove whole channels (for speed) or single weights (for size).'),
  metric: z.enum(metrics).optional().describe('What accuracy means. Default: top1 where there are labels, agreement with the original model otherwise.'),
  episodes: z.int().min(1).max(100_000).optional().describe('Candidate networks that the agent tries. Default: chosen from the time an episode takes.'),
  seed: z.int().min(0).max(2 ** 32 - 1).default(0).describe('Seed of everything random.'),
  out: z.string().min(1).optional().describe('The compressed model. Default: NAME.compressed.onnx beside the model.'),
  runDir: z.string().min(1).optional().describe('Folder of the run: journal, checkpoint, plan, report. Default: .auto-compress/MODEL/RUN beside the model.'),
  finetune: z.int().min(0).max(1000).default(0).describe('Epochs of fine-tuning after the search.'),
  refine: z.int().min(0).max(1000).optional().describe('Epochs of label-free refinement after the search: the compressed model learns to answer like the original on the calibration images. Default: as many as take a few minutes; 0 for none.'),
  preprocess: z.string().min(1).optional().describe('Preprocessing as JSON or a JSON file. Default: found by itself.'),
  baseline: z.array(z.enum(['random'])).default([]).describe('Further baselines, each with as many evaluations as the agent.'),
  agent: z.enum(['warm', 'paper']).default('warm').describe("'warm' starts from the allocation found by least squares; 'paper' is the cold-start agent of arXiv 1802.03494."),
  roundTo: z.int().min(0).max(64).default(0).describe('Kept channel counts are multiples of this where a layer has more channels; 0: of 16 in wide layers and of less in narrow ones. Inference kernels work on blocks of channels.'),
  minPreserve: z.number().gt(0).max(1).default(0.1).describe('Smallest preserve ratio of a layer: of its channels, or five times the smallest of its single weights. With a latency target a branch beside a shortcut may go as a whole.'),
  threads: z.int().min(0).max(256).default(0).describe('Threads used by onnxruntime; 0 uses every core.'),
});
export type CompressOptions = z.infer<typeof compressOptionsSchema>;
/** Options before defaults are filled in: what a caller writes. */
export type CompressRequest = z.input<typeof compressOptionsSchema>;

const { threads } = compressOptionsSchema.shape;
/** Numbers that `evaluate` takes; fields that are no options pass. */
export const evaluateOptionsSchema = z.looseObject({ limit: z.int().min(1).exactOptional(), threads });
/** Numbers that `benchmark` takes; fields that are no options pass. */
export const benchmarkOptionsSchema = z.looseObject({ batch: z.int().min(1).max(65_536).exactOptional(), seconds: z.number().gt(0).max(3600).exactOptional(), threads });

/** Checks options from outside and fills in defaults. @throws {InputError} names the option, what was expected and what was got */
export function parseOptions<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!, { path } = issue;
  const given = path.reduce<unknown>((from, key) => (from as Record<PropertyKey, unknown>)[key], value), whole = issue.code === 'invalid_type' && (issue.expected as string) === 'int';
  throw new InputError(`${path.length > 0 ? `Option "${path.join('.')}"` : 'Options'}: ${whole ? `expected a whole number, got ${String(given)}` : issue.message}.`);
}

/** Checks the options of `compress`, what they mean together included. @throws {InputError} */
export function parseCompressOptions(value: unknown): CompressOptions {
  const options = parseOptions(compressOptionsSchema, value);
  checkTarget(options);
  return options;
}

function checkTarget({ target, method }: CompressOptions): void {
  const budgets = budgetsOf(target), names = budgets.map(({ metric }) => metric);
  for (const { metric, value } of budgets) {
    if (metric === 'accuracy-drop' ? !(value >= 0 && value <= 100) : !(value > 0 && value < 1)) {
      throw new InputError(`Target ${metric}=${value}: expected ${metric === 'accuracy-drop' ? 'points between 0 and 100' : 'a fraction between 0 and 1, such as 0.5'}.`);
    }
    if (method === 'weights' && (metric === 'macs' || metric === 'latency')) throw new InputError(`Target ${metric} needs the method channels: single weights that are zero are still multiplied. With the method weights use params=R, size=R or accuracy-drop=P.`);
  }
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) throw new InputError(`Target ${formatTarget(target)}: ${twice} stands there twice. Keep one of them.`);
  if (names.length > 1 && names.includes('accuracy-drop')) throw new InputError(`Target ${formatTarget(target)}: accuracy-drop looks for the smallest network that keeps the accuracy, so it stands alone. Budgets can be combined: macs=0.5,latency=0.6.`);
}

/** Parses `macs=0.5`, or several budgets with commas between them. @throws {InputError} */
export function parseTarget(text: string): Target {
  const [first, ...others] = text.split(',').map((part): Budget => {
    const [metric, value, ...rest] = part.trim().split('='), amount = value === undefined || value.trim() === '' ? NaN : Number(value);
    if (!targetMetrics.includes(metric as Target['metric']) || Number.isNaN(amount) || rest.length > 0) {
      throw new InputError(`Target "${text}": expected ${targetMetrics.slice(0, 4).map((name) => `${name}=R`).join(', ')} or accuracy-drop=P, such as macs=0.5, or several of the first four with commas between them.`);
    }
    return { metric: metric as Target['metric'], value: amount };
  });
  return { ...first!, ...(others.length > 0 ? { and: others } : {}) };
}

// ---------------------------------------------------------------- results

export interface Latency { readonly median: number; readonly p10: number; readonly p90: number }
export interface Accuracy { readonly metric: Metric; /** Fraction in [0, 1]. */ readonly value: number; readonly images: number; readonly dataset: string }

/** What a model file costs and what it can do, measured from that file. */
export interface Measurements {
  readonly macs: number;
  readonly params: number;
  readonly sizeBytes: number;
  /** Where weights were pruned one by one: what is not zero, and bytes of the weights stored as a bitmap and values and of the file in a zip. */
  readonly sparse?: { readonly nonZero: number; readonly storedBytes: number; readonly zipBytes: number };
  /** Batch 1, milliseconds. */
  readonly latencyMs: Latency;
  readonly accuracy: Accuracy;
}

export interface LayerReport {
  readonly name: string;
  readonly opType: string;
  /** Kept / original output channels. */
  readonly preserveRatio: number;
  /** Fraction of the layer's weights that are zero. */
  readonly weightSparsity: number;
  readonly macsBefore: number;
  readonly macsAfter: number;
  readonly channelsBefore: number;
  readonly channelsAfter: number;
}

/** One evaluated candidate: fractions of the original model's MACs and parameters (and of its time, predicted, where there is a latency table), accuracy as a fraction in [0, 1]. */
export interface Candidate {
  /** Episode number from 1; 0 for a baseline. */
  readonly episode: number;
  readonly macs: number;
  readonly params: number;
  readonly latency?: number;
  readonly accuracy: number;
  readonly reward: number;
  /** Validation images that it was judged on: fewer for one that was clearly not the best. */
  readonly images?: number;
  /** Preserve ratio of each pruning group, in the order of the model event's groups. */
  readonly preserve: readonly number[];
}

export interface Baseline { readonly policy: string; /** Fraction of the original. */ readonly macs: number; readonly accuracy: number }

/** `report.json` (DESIGN: fixed file format auto-compress/report@1; further fields may be added). */
export interface Report {
  readonly format: 'auto-compress/report@1';
  readonly model: { readonly path: string; readonly sha256: string };
  readonly out: string;
  /** SHA-256 of the written file: another run of the model may write to the same place later. */
  readonly outSha256?: string;
  readonly target: Target;
  /** Which policy the written model comes from: 'agent', or the baseline that was better. */
  readonly policy: string;
  /** The agent's episode whose choice was written: not always the one that scored best, because the leaders are made again, better, and compared. */
  readonly writtenEpisode?: number;
  readonly before: Measurements;
  readonly after: Measurements;
  readonly layers: readonly LayerReport[];
  readonly pareto: readonly Candidate[];
  readonly candidates: readonly Candidate[];
  readonly baselines: readonly Baseline[];
  /** The same policies as the search judged them, repaired as quickly as the candidates: what those are to be compared with. */
  readonly searchedBaselines?: readonly Baseline[];
  /** The agent's best choice with the same repair as the baselines, before the written model's longer one and training: what the baselines are to be compared with. */
  readonly agent?: Baseline;
  /** Seconds of the search by what they were spent on. */
  readonly profile?: Readonly<Record<string, number>>;
  readonly episodes: number;
  /** Accuracy on the validation images after each step that changes weights: reconstruction by least squares, and, where asked for, label-free refinement and fine-tuning. */
  readonly steps: readonly { readonly step: 'reconstruct' | 'refine' | 'finetune'; readonly accuracy: number; readonly epochs?: number }[];
  /** Seconds by stage; 'total' is their sum. */
  readonly seconds: Readonly<Record<string, number>>;
  readonly seed: number;
  readonly versions: Readonly<Record<string, string>>;
  /** What the user should know: limits met, baselines that won, images left out. */
  readonly notes: readonly string[];
}

const text = z.string(), real = z.number(), count = z.number();
const latencySchema = z.object({ median: real, p10: real, p90: real });
const measurementsSchema = z.object({
  macs: count, params: count, sizeBytes: count, latencyMs: latencySchema, accuracy: z.object({ metric: z.enum(metrics), value: real, images: count, dataset: text }),
  sparse: z.object({ nonZero: count, storedBytes: count, zipBytes: count }).exactOptional(),
});
const candidateSchema = z.object({ episode: count, macs: real, params: real, latency: real.exactOptional(), accuracy: real, reward: real, images: count.exactOptional(), preserve: z.array(real) });
const baselineSchema = z.object({ policy: text, macs: real, accuracy: real });
const reportSchema: z.ZodType<Report> = z.object({
  format: z.literal('auto-compress/report@1'), model: z.object({ path: text, sha256: text }), out: text, outSha256: text.exactOptional(), target: targetSchema, policy: text, writtenEpisode: count.exactOptional(), before: measurementsSchema, after: measurementsSchema,
  layers: z.array(z.object({ name: text, opType: text, preserveRatio: real, weightSparsity: real, macsBefore: count, macsAfter: count, channelsBefore: count, channelsAfter: count })),
  pareto: z.array(candidateSchema), candidates: z.array(candidateSchema), baselines: z.array(baselineSchema), searchedBaselines: z.array(baselineSchema).exactOptional(), agent: baselineSchema.exactOptional(), profile: z.record(text, real).exactOptional(), episodes: count,
  steps: z.array(z.object({ step: z.enum(['reconstruct', 'refine', 'finetune']), accuracy: real, epochs: count.exactOptional() })).default([]), seconds: z.record(text, real), seed: count, versions: z.record(text, text), notes: z.array(text),
});

/** @returns the report, or undefined where the value is none: report files are found in folders that others may have written */
export function parseReport(value: unknown): Report | undefined { return reportSchema.safeParse(value).data; }

// ---------------------------------------------------------------- events

export const stages = ['load', 'analyse', 'data', 'calibrate', 'search', 'rebuild', 'refine', 'finetune', 'report'] as const;
export type Stage = (typeof stages)[number];

export interface LayerSummary {
  readonly name: string;
  readonly opType: string;
  readonly macs: number;
  readonly params: number;
  readonly inChannels: number;
  readonly outChannels: number;
  /** Index of the pruning group its output channels belong to; -1 when they are frozen. */
  readonly group: number;
}
export interface GroupSummary { readonly id: string; readonly name: string; readonly channels: number }

/** What a run says while it goes. One JSON object a line on standard output with --json, one message a piece between worker and extension. */
export type RunEvent =
  /** Where the run's files are; sent first. */
  | { readonly type: 'run'; readonly runDir: string; readonly out: string; readonly resumed: boolean }
  /** A stage began or moved on; fraction in [0, 1] where it is known. secondsLeft, here and below, is a guess of the time to the end of the run. */
  | { readonly type: 'stage'; readonly stage: Stage; readonly fraction?: number; readonly message?: string; readonly secondsLeft?: number }
  | { readonly type: 'model'; readonly path: string; readonly macs: number; readonly params: number; readonly sizeBytes: number; readonly layers: readonly LayerSummary[]; readonly groups: readonly GroupSummary[]; readonly frozen: readonly { readonly name: string; readonly reason: string }[] }
  | { readonly type: 'data'; readonly images: number; readonly classes: number; readonly classNames?: readonly string[]; readonly preprocessing: string; readonly metric: Metric; readonly accuracy: number }
  | { readonly type: 'baseline'; readonly baseline: Baseline; readonly preserve: readonly number[] }
  /** One episode; `best` says that it is the best so far; episodes is the number planned. */
  | { readonly type: 'episode'; readonly candidate: Candidate; readonly best: boolean; readonly bestAccuracy: number; readonly episodes: number; readonly seconds: number; readonly secondsLeft: number; readonly images: number }
  /** One step of fine-tuning progress. */
  | { readonly type: 'training'; readonly epoch: number; readonly epochs: number; readonly loss: number; readonly accuracy?: number; readonly secondsLeft: number }
  | { readonly type: 'warning'; readonly message: string }
  | { readonly type: 'result'; readonly out: string; readonly plan: string; readonly report: string; readonly summary: Report }
  | { readonly type: 'error'; readonly message: string; readonly exitStatus: number };

// ---------------------------------------------------------------- worker wire

/** Parent to worker. `call` is echoed in every answer. */
export type WorkerRequest =
  | { readonly type: 'compress'; readonly call: number; readonly options: CompressRequest }
  | { readonly type: 'resume'; readonly call: number; readonly runDir: string }
  | { readonly type: 'inspect'; readonly call: number; readonly model: string }
  | { readonly type: 'list'; readonly call: number; readonly model: string }
  | { readonly type: 'previewData'; readonly call: number; readonly model: string; readonly data: string; readonly how: PreviewOptions }
  | { readonly type: 'prune'; readonly call: number; readonly model: string; readonly plan?: string; readonly preserve?: number; readonly calibration?: string; readonly out: string }
  | { readonly type: 'benchmark'; readonly call: number; readonly model: string; readonly against?: string }
  /** Writes the model of one candidate of a finished or stopped run. */
  | { readonly type: 'export'; readonly call: number; readonly runDir: string; readonly episode: number; readonly out: string }
  | { readonly type: 'cancel'; readonly call: number };

/** Worker to parent: any number of events, then one answer or one failure. */
export type WorkerResponse =
  | { readonly type: 'event'; readonly call: number; readonly event: RunEvent }
  | { readonly type: 'done'; readonly call: number; readonly value: unknown }
  | { readonly type: 'failed'; readonly call: number; readonly message: string; readonly exitStatus: number };

/** Answer of `inspect`, and of `auto-compress inspect --json`. */
export interface Inspection {
  readonly path: string;
  readonly sizeBytes: number;
  readonly opset: number;
  readonly producer: string;
  readonly inputs: readonly { readonly name: string; readonly shape: readonly (number | string)[]; readonly elementType: string }[];
  readonly outputs: readonly { readonly name: string; readonly shape: readonly (number | string)[]; readonly elementType: string }[];
  readonly macs: number;
  readonly params: number;
  readonly nodes: number;
  readonly layers: readonly (LayerSummary & { readonly weightShape: readonly number[]; readonly weight: string; readonly weightSparsity: number; readonly prunable: boolean; readonly reason?: string })[];
  readonly groups: readonly (GroupSummary & { readonly producers: readonly string[]; readonly consumers: readonly string[]; readonly macs: number; readonly params: number })[];
  readonly frozen: readonly { readonly name: string; readonly reason: string }[];
}

/** A value that a node reads; shape and element type where it is a weight of the file. */
export interface ListedValue { readonly name: string; readonly shape?: readonly number[]; readonly elementType?: string }
/** A node as it stands in the file. Texts are single lines, cut where they are long; a node without a name goes by its first output. */
export interface ListedNode {
  readonly name: string;
  readonly opType: string;
  /** 0 in the model's own graph, 1 in a subgraph of one of its nodes, and so on. */
  readonly depth: number;
  readonly inputs: readonly ListedValue[];
  readonly outputs: readonly string[];
  readonly attributes: readonly { readonly name: string; readonly value: string }[];
}
/** Answer of `list`: the graph of a file, whether or not the model can be compressed. */
export interface GraphListing extends Pick<Inspection, 'path' | 'sizeBytes' | 'producer' | 'inputs' | 'outputs'> {
  /** Such as `ai.onnx 17`. */
  readonly opsets: readonly string[];
  readonly initializers: number;
  /** The first of them in the file's order; `nodeCount` are there. */
  readonly nodes: readonly ListedNode[];
  readonly nodeCount: number;
}

/** What a run measures and how, of its options. */
export type PreviewOptions = Pick<CompressRequest, 'metric' | 'preprocess' | 'threads'>;
/** Answer of `previewData`. */
export interface DataPreview { readonly images: number; readonly classes: number; readonly labelled: boolean; readonly preprocessing: string; readonly metric: Metric; readonly accuracy: number }

/** Answer of `benchmark`. Ratio = model / other, with its 95% confidence interval. */
export interface BenchmarkResult {
  readonly threads: number;
  readonly provider: string;
  readonly batches: readonly { readonly batch: number; readonly model: Latency; readonly against?: Latency; readonly ratio?: { readonly value: number; readonly low: number; readonly high: number } }[];
}
