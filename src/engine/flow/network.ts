import { basename, dirname, extname, join } from 'node:path';
import type { GraphProto, ModelProto } from 'onnx-buf';
import { float32Form } from '../onnx/float32Form.ts';
import { loadModel } from '../onnx/modelFile.ts';
import { sha256OfModel } from '../onnx/modelIdentity.ts';
import type { CompressOptions, LayerSummary, RunEvent } from '../protocol.ts';
import { analyse, requireGroups } from '../pruning/analysis.ts';
import { channelsOf } from '../pruning/inspect.ts';
import type { Analysis } from '../pruning/types.ts';
import { requireFloat32 } from '../reconstruction/regressibleLayers.ts';
import { Session } from '../runtime/session.ts';

type Model = ModelProto & { graph: GraphProto };

/** A model to be compressed and what is known of it. */
export interface Network {
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  /** As the file has it. */
  readonly file: Model;
  /** The same in float32: what is searched, repaired and trained. */
  readonly proto: Model;
  readonly analysis: Analysis;
  /** A model made of `proto`, in the number type of the file. */
  inFileType(model: Model): Model;
  /** Name of that type, where it is not float32. */
  readonly fileType?: string;
}

/** Reads and analyses a model. @throws {UnsupportedModelError} when its numbers can't be had in float32, or nothing in it can be pruned: says why */
export async function openNetwork(path: string, method: CompressOptions['method'] = 'channels'): Promise<Network> {
  const { proto: file, sizeBytes } = await loadModel(path), { model: proto, restore: inFileType, fileType } = float32Form(file);
  if (fileType !== undefined) await (await Session.create(file)).release(); // no search for what can't be measured in the end
  const analysis = await analyse(proto);
  requireFloat32(analysis);
  if (method === 'channels') requireGroups(analysis, path);
  return { path, sha256: await sha256OfModel(path), sizeBytes, file, proto, analysis, inFileType, ...(fileType === undefined ? {} : { fileType }) };
}

export const defaultOut = (model: string): string => join(dirname(model), `${basename(model, extname(model))}.compressed.onnx`);

/** The model event of a run: layers and groups as the dashboard shows them. */
export function modelEvent({ path, sizeBytes, analysis }: Network, groups: readonly { readonly id: string }[]): Extract<RunEvent, { type: 'model' }> {
  const position = new Map(groups.map(({ id }, i) => [id, i]));
  const weightsOf = new Map(analysis.layers.map((layer) => [layer.weight, layer]));
  const groupOf = new Map(analysis.groups.flatMap(({ id, producers }) => producers.map(({ initializer, axis }) => [`${axis} ${initializer}`, position.get(id) ?? -1] as const)));
  const { axes } = analysis.structure.facts;
  const byId = new Map(analysis.groups.map((group) => [group.id, group]));
  return {
    type: 'model', path, sizeBytes, macs: analysis.macs, params: analysis.params,
    layers: analysis.layers.map((layer): LayerSummary => {
      return { name: layer.name, opType: layer.opType, macs: layer.macs, params: layer.params, ...channelsOf(layer, axes.shapeOf(layer.weight) ?? []), group: position.get(layer.weight) ?? groupOf.get(`${layer.outAxis} ${layer.weight}`) ?? -1 };
    }),
    groups: groups.map(({ id }) => { const group = byId.get(id); return { id, name: group?.name ?? weightsOf.get(id)?.name ?? id, channels: group?.channels ?? weightsOf.get(id)?.params ?? 1 }; }),
    frozen: analysis.frozen,
  };
}
