import type { GraphProto, ModelProto } from 'onnx-buf';
import { InputError, UnsupportedModelError, messageOf } from '../errors.ts';
import { checkOut } from '../onnx/checkOut.ts';
import { loadModel, saveModel } from '../onnx/modelFile.ts';
import { sha256OfModel } from '../onnx/modelIdentity.ts';
import { Session } from '../runtime/session.ts';
import { syntheticInput } from '../runtime/shapes.ts';
import { analyse, requireGroups } from './analysis.ts';
import { channelOrders } from './importance.ts';
import { type PlanChoice, planFrom, readPlan, writePlan } from './plan.ts';
import { sparseStorage } from './sparseStorage.ts';
import { applyPlan } from './surgery.ts';
import type { Analysis } from './types.ts';
import { stepOf, uniformKept } from './uniform.ts';
import { zeroSmallest } from './zeroSmallest.ts';

type Model = ModelProto & { graph: GraphProto };

export interface PruneOptions {
  readonly model: string;
  readonly out: string;
  /** Kept / original channels of every group, in (0, 1]; or a plan file. One of the two. */
  readonly preserve?: number;
  readonly plan?: string;
  readonly planOut?: string;
  /** Kept counts are multiples of this where possible; 0, the default: of what suits the width of each group. */
  readonly roundTo?: number;
  /** The data that `repair` reads, which no output replaces. */
  readonly calibration?: string;
  /** Repairs the pruned model (least squares on calibration data); absent for --no-reconstruct. */
  readonly repair?: (original: Model, analysis: Analysis, choice: PlanChoice, pruned: Model) => Promise<Repaired>;
}

/** A repaired model, how many of its layers were fitted, and how the calibration images were prepared, for people. */
export interface Repaired { readonly model: Model; readonly layers: number; readonly preprocessing: string }

/** What a model costs; non-zero parameters and bytes of sparse storage where single weights were pruned. */
interface Costs { readonly macs: number; readonly params: number; readonly sizeBytes: number; readonly sparse?: ReturnType<typeof sparseStorage> }

export interface PruneResult {
  readonly out: string;
  readonly plan?: string;
  readonly before: Costs;
  /** Of the written file. */
  readonly after: Costs;
  /** How many layers the repair fitted, and how the calibration images were prepared; absent where there was none. */
  readonly repairedLayers?: number;
  readonly preprocessing?: string;
}

/**
 * Prunes a model file by a uniform ratio or a plan and writes the result, which onnxruntime has run.
 * @throws {InputError} for options, files or a plan that don't fit
 */
export async function pruneCommand(options: PruneOptions): Promise<PruneResult> {
  const { preserve, plan: planFile, roundTo } = options;
  if ((preserve === undefined) === (planFile === undefined)) throw new InputError('Give either --preserve R or --plan FILE.');
  if (preserve !== undefined && !(preserve > 0 && preserve <= 1)) throw new InputError(`Option "preserve": ${preserve} is not a ratio between 0 and 1, such as 0.5.`);
  if (roundTo !== undefined && !(Number.isInteger(roundTo) && roundTo >= 0 && roundTo <= 64)) throw new InputError(`Option "round-to": ${roundTo} is not a whole number from 0 to 64.`);
  await checkOut(options.out, options.model, { written: { 'plan-out': options.planOut }, read: [planFile, options.calibration] });
  const { proto, hadExternalData, sizeBytes } = await loadModel(options.model);
  const sha256 = await sha256OfModel(options.model);
  const analysis = await analyse(proto);
  if (preserve !== undefined) requireGroups(analysis, options.model);
  const choice = preserve === undefined ? await readPlan(planFile!, analysis, sha256) : { kept: uniformKept(analysis, preserve, { order: channelOrders(proto, analysis), roundTo: roundTo || stepOf }), densities: new Map<string, number>() };
  const { kept, densities } = choice, storage = (model: Model, size: number): Pick<Costs, 'sparse'> => (densities.size > 0 ? { sparse: sparseStorage(model, size) } : {}), cut = zeroSmallest(applyPlan(proto, analysis, kept), densities);
  const repaired = await options.repair?.(proto, analysis, choice, cut), pruned = repaired?.model ?? cut;
  await requireRuns(pruned, analysis);
  await saveModel(pruned, options.out, hadExternalData ? { externalData: true } : {});
  if (options.planOut !== undefined) await writePlan(options.planOut, planFrom(analysis, kept, { path: options.model, sha256 }, densities));
  const written = await loadModel(options.out), { macs, params } = await analyse(written.proto);
  return {
    out: options.out, ...(options.planOut !== undefined ? { plan: options.planOut } : {}),
    before: { macs: analysis.macs, params: analysis.params, sizeBytes, ...storage(proto, sizeBytes) },
    after: { macs, params, sizeBytes: written.sizeBytes, ...storage(written.proto, written.sizeBytes) },
    ...(repaired ? { repairedLayers: repaired.layers, preprocessing: repaired.preprocessing } : {}),
  };
}

/** Runs a pruned model once, on inputs of the shapes that the original was analysed at. @throws {UnsupportedModelError} where it does not run */
async function requireRuns(pruned: Model, { structure: { facts: { view, axes } } }: Analysis): Promise<void> {
  const inputs = pruned.graph.input.filter(({ name }) => view.inputs.includes(name));
  const feeds = Object.fromEntries(inputs.map((input) => [input.name, syntheticInput(input, axes.shapeOf(input.name) ?? [])]));
  try {
    const session = await Session.create(pruned);
    try { await session.run(feeds); } finally { await session.release(); }
  } catch (error) {
    throw new UnsupportedModelError(`The pruned model does not run, so it was not written (${messageOf(error)}). Keep all channels near the node that is named, with --plan, and report this with the model.`, { cause: error });
  }
}
