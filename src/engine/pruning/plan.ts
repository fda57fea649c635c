import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { InputError, messageOf } from '../errors.ts';
import { writeAtomically } from '../onnx/modelFile.ts';
import { KeptPositions } from './keptPositions.ts';
import type { Analysis, AxisUse, KeptUnits, PruningGroup } from './types.ts';

const indices = z.array(z.int().min(0));
const axisSchema = z.object({ initializer: z.string(), axis: z.int().min(0), kept: indices });
/** `plan.json` (DESIGN: fixed file format auto-compress/plan@1; further fields may be added). */
const planSchema = z.object({
  format: z.literal('auto-compress/plan@1'),
  model: z.object({ path: z.string(), sha256: z.string() }),
  groups: z.array(z.object({ id: z.string(), name: z.string(), channels: z.int().min(1), kept: indices, producers: z.array(axisSchema), consumers: z.array(axisSchema) })),
  frozen: z.array(z.object({ name: z.string(), reason: z.string() })),
  /** Where single weights are pruned: the share of each tensor's elements that stays. */
  weights: z.array(z.object({ initializer: z.string(), preserve: z.number().min(0).max(1) })).optional(),
});
export type Plan = z.infer<typeof planSchema>;

/** The plan file's content for a set of kept units. `kept` of an axis lists all of its positions that stay, whichever group they belong to. */
export function planFrom(analysis: Analysis, kept: KeptUnits, model: { readonly path: string; readonly sha256: string }, densities: ReadonlyMap<string, number> = new Map()): Plan {
  const { facts: { axes, sources }, folded } = analysis.structure, positions = new KeptPositions(analysis, kept);
  const computed = new Set(folded?.tensors.map(({ name }) => name)); // no constants of the model: nothing a reader could look up
  const axisEntry = ({ initializer, axis, unitOf }: AxisUse): Plan['groups'][number]['producers'][number] =>
    ({ initializer: sources.get(initializer) ?? initializer, axis, kept: Array.from(positions.of(axes.axis(initializer, axis)) ?? unitOf.keys()) });
  return {
    format: 'auto-compress/plan@1',
    model: { path: model.path, sha256: model.sha256 },
    groups: analysis.groups.map((group) => ({
      id: group.id, name: group.name, channels: group.channels, kept: [...(kept.get(group.id) ?? allUnits(group))],
      producers: group.producers.filter(({ initializer }) => !computed.has(initializer)).map(axisEntry), consumers: group.consumers.map(axisEntry),
    })),
    frozen: analysis.frozen.map(({ name, reason }) => ({ name, reason })),
    ...(densities.size > 0 ? { weights: [...densities].map(([initializer, preserve]) => ({ initializer: sources.get(initializer) ?? initializer, preserve })) } : {}),
  };
}

const allUnits = (group: PruningGroup): number[] => Array.from({ length: group.channels }, (_, unit) => unit);

export async function writePlan(path: string, plan: Plan): Promise<void> {
  await writeAtomically(path, async (file) => { await file.writeFile(`${JSON.stringify(plan)}\n`); });
}

/** What a plan asks for: the units that stay, and the share of single weights that stays, by tensor. */
export interface PlanChoice { readonly kept: KeptUnits; readonly densities: ReadonlyMap<string, number> }

/**
 * Reads what a plan file asks for.
 * @param sha256 of the model to be pruned; the plan must be for it
 * @throws {InputError} names the file and what is wrong: unreadable, another format, another model, an unknown group, an index out of range
 */
export async function readPlan(path: string, analysis: Analysis, sha256: string): Promise<PlanChoice> {
  const fail = (why: string, cause?: unknown): never => { throw new InputError(`Plan ${path}: ${why}.`, { cause }); };
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => fail(error.code === 'ENOENT' ? 'there is no such file' : messageOf(error), error));
  let json: unknown;
  try { json = JSON.parse(text); } catch (error) { fail('it is not JSON', error); }
  const parsed = planSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    return fail(`"${issue.path.join('.')}": ${issue.message} (expected format auto-compress/plan@1)`);
  }
  const plan = parsed.data;
  if (plan.model.sha256 !== sha256) fail(`it was made for another model (sha256 ${plan.model.sha256.slice(0, 12)}..., this one is ${sha256.slice(0, 12)}...)`);
  const { constants } = analysis.structure.facts.view, unknown = plan.weights?.find(({ initializer }) => !constants.has(initializer));
  if (unknown) fail(`the model has no weight "${unknown.initializer}"`);
  const groups = new Map(analysis.groups.map((group) => [group.id, group]));
  const kept = new Map<string, readonly number[]>();
  for (const { id, channels, kept: units } of plan.groups) {
    const group = groups.get(id) ?? fail(`the model has no pruning group "${id}"`);
    if (channels !== group.channels) fail(`group "${id}" has ${group.channels} channels in the model, ${channels} in the plan`);
    const sorted = [...new Set(units)].sort((a, b) => a - b);
    if (sorted.length === 0 && !group.removable) fail(`group "${id}" can't lose all its channels: they are not read by branches beside a shortcut alone`);
    if (sorted.length > 0 && sorted.at(-1)! >= group.channels) fail(`group "${id}" has no channel ${sorted.at(-1)}`);
    if (kept.has(id)) fail(`group "${id}" is listed twice`);
    if (sorted.length < group.channels) kept.set(id, sorted);
  }
  return { kept, densities: new Map((plan.weights ?? []).map(({ initializer, preserve }) => [initializer, preserve])) };
}
