import type { GraphProto, ModelProto } from 'onnx-buf';
import { InputError } from '../errors.ts';
import { checkOut } from '../onnx/checkOut.ts';
import { loadModel, saveModel } from '../onnx/modelFile.ts';
import { sha256OfModel } from '../onnx/modelIdentity.ts';
import { Session } from '../runtime/session.ts';
import { analyse } from './analysis.ts';
import { costs } from './costs.ts';
import { channelOrders } from './importance.ts';
import { type PlanChoice, planFrom, readPlan, writePlan } from './plan.ts';
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
  /** Kept counts are multiples of this where possible. Default: 8, less in groups of few channels. */
  readonly roundTo?: number;
  /** The data that `repair` reads, which no output replaces. */
  readonly calibration?: string;
  /** Repairs the pruned model (least squares on calibration data); absent for --no-reconstruct. */
  readonly repair?: (original: Model, analysis: Analysis, choice: PlanChoice, pruned: Model) => Promise<Repaired>;
}

/** A repaired model, and how many of its layers were fitted. */
export interface Repaired { readonly model: Model; readonly layers: number }

export interface PruneResult {
  readonly out: string;
  readonly plan?: string;
  readonly before: { readonly macs: number; readonly params: number; readonly sizeBytes: number };
  readonly after: { readonly macs: number; readonly params: number; readonly sizeBytes: number };
  /** How many layers the repair fitted; absent where there was none. */
  readonly repairedLayers?: number;
}

/**
 * Prunes a model file by a uniform ratio or a plan and writes the result, which onnxruntime has loaded.
 * @throws {InputError} for options, files or a plan that don't fit
 */
export async function pruneCommand(options: PruneOptions): Promise<PruneResult> {
  const { preserve, plan: planFile, roundTo } = options;
  if ((preserve === undefined) === (planFile === undefined)) throw new InputError('Give either --preserve R or --plan FILE.');
  if (preserve !== undefined && !(preserve > 0 && preserve <= 1)) throw new InputError(`Option "preserve": ${preserve} is not a ratio between 0 and 1, such as 0.5.`);
  if (roundTo !== undefined && !(Number.isInteger(roundTo) && roundTo >= 1 && roundTo <= 64)) throw new InputError(`Option "round-to": ${roundTo} is not a whole number from 1 to 64.`);
  await checkOut(options.out, options.model, { written: { 'plan-out': options.planOut }, read: [planFile, options.calibration] });
  const { proto, hadExternalData, sizeBytes } = await loadModel(options.model);
  const sha256 = await sha256OfModel(options.model);
  const analysis = await analyse(proto);
  const choice = preserve === undefined ? await readPlan(planFile!, analysis, sha256) : { kept: uniformKept(analysis, preserve, { order: channelOrders(proto, analysis), roundTo: roundTo ?? stepOf }), densities: new Map<string, number>() };
  const { kept, densities } = choice, cut = zeroSmallest(applyPlan(proto, analysis, kept), densities);
  const repaired = await options.repair?.(proto, analysis, choice, cut), pruned = repaired?.model ?? cut;
  await (await Session.create(pruned)).release();
  await saveModel(pruned, options.out, hadExternalData ? { externalData: true } : {});
  if (options.planOut !== undefined) await writePlan(options.planOut, planFrom(analysis, kept, { path: options.model, sha256 }, densities));
  return {
    out: options.out, ...(options.planOut !== undefined ? { plan: options.planOut } : {}),
    before: { macs: analysis.macs, params: analysis.params, sizeBytes },
    after: { ...costs(analysis, kept), sizeBytes: (await loadModel(options.out)).sizeBytes },
    ...(repaired ? { repairedLayers: repaired.layers } : {}),
  };
}
