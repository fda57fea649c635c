import { loadModel, opsetOf } from '../onnx/modelFile.ts';
import { dimsOf, floatsOf } from '../onnx/tensor.ts';
import type { Inspection } from '../protocol.ts';
import { analyse } from './analysis.ts';
import { costs } from './costs.ts';
import { describeValue } from './listGraph.ts';
import type { Analysis, Layer, PruningGroup } from './types.ts';

/** What removing one unit in two saves when only this group is pruned: the group's own share of the model. */
function shareOf(analysis: Analysis, group: PruningGroup): { macs: number; params: number } {
  if (group.channels < 2) return { macs: 0, params: 0 };
  const without = costs(analysis, new Map([[group.id, Array.from({ length: group.channels - 1 }, (_, unit) => unit)]]));
  return { macs: Math.round((analysis.macs - without.macs) * group.channels), params: Math.round((analysis.params - without.params) * group.channels) };
}

function shareOfZeros(values: Float32Array): number {
  let zeros = 0;
  for (let i = 0; i < values.length; i++) if (values[i] === 0) zeros++;
  return zeros / Math.max(1, values.length);
}

/** Channels that a layer reads and makes. @param dims of its weight, whose one axis counts those of a single group: the inputs' of a Conv, the outputs' of a ConvTranspose */
export function channelsOf({ opType, groups, inAxis, outAxis }: Layer, dims: readonly number[]): { readonly inChannels: number; readonly outChannels: number } {
  return { inChannels: (dims[inAxis] ?? 1) * (opType === 'Conv' ? groups : 1), outChannels: (dims[outAxis] ?? 1) * (opType === 'ConvTranspose' ? groups : 1) };
}

/** Everything that `inspect` reports of a model file. @throws {InputError} @throws {UnsupportedModelError} */
export async function inspectModel(path: string): Promise<Inspection> {
  const { proto, sizeBytes } = await loadModel(path);
  const analysis = await analyse(proto);
  const { view } = analysis.structure.facts;
  const groupOf = new Map<string, number>();
  analysis.groups.forEach(({ producers }, index) => { for (const { initializer, axis } of producers) if (!groupOf.has(`${axis} ${initializer}`)) groupOf.set(`${axis} ${initializer}`, index); });
  const reasons = new Map(analysis.frozen.map(({ name, reason }) => [name, reason]));
  const layer = (own: Layer): Inspection['layers'][number] => {
    const { name, opType, macs, params, weight, outAxis } = own, dims = dimsOf(view.constants.get(weight)!), values = floatsOf(view.constants.get(weight)!), group = groupOf.get(`${outAxis} ${weight}`) ?? -1;
    const reason = reasons.get(name);
    return {
      name, opType, macs, params, weight, weightShape: dims, weightSparsity: shareOfZeros(values),
      ...channelsOf(own, dims), group, prunable: group >= 0, ...(reason !== undefined ? { reason } : {}),
    };
  };
  return {
    path, sizeBytes, opset: opsetOf(proto), producer: [proto.producerName, proto.producerVersion].filter((text) => text !== '').join(' '),
    inputs: proto.graph.input.filter(({ name }) => view.inputs.includes(name)).map(describeValue), outputs: proto.graph.output.map(describeValue),
    macs: analysis.macs, params: analysis.params, nodes: proto.graph.node.length, layers: analysis.layers.map(layer),
    groups: analysis.groups.map((group) => ({
      id: group.id, name: group.name, channels: group.channels, ...shareOf(analysis, group),
      producers: [...new Set(group.producers.map(({ initializer }) => initializer))], consumers: [...new Set(group.consumers.map(({ initializer }) => initializer))],
    })),
    frozen: analysis.frozen,
  };
}

const count = (value: number): string => {
  const scale = ([[1e9, 'G'], [1e6, 'M'], [1e3, 'k']] as const).find(([size]) => value >= size);
  return scale ? `${(value / scale[0]).toFixed(value >= 100 * scale[0] ? 0 : value >= 10 * scale[0] ? 1 : 2)}${scale[1]}` : String(value);
};
const percent = (part: number, whole: number): string => (whole > 0 ? `${((100 * part) / whole).toFixed(1)}%` : '-');
/** A text cut to a width, its end kept: the end of a layer's name tells it apart. */
const fit = (text: string, width: number): string => (text.length <= width ? text.padEnd(width) : `…${text.slice(text.length - width + 1)}`);

/** The inspection as lines for a terminal. @param width columns */
export function inspectionTable(inspection: Inspection, width = 100): string[] {
  const { path, nodes, opset, macs, params, sizeBytes, inputs, outputs, groups, layers, frozen } = inspection;
  const value = ({ name, shape, elementType }: Inspection['inputs'][number]): string => `${name} ${elementType} [${shape.join(', ')}]`;
  const nameWidth = Math.max(24, width - 52);
  const layersOf = groups.map((_, index) => layers.filter(({ group }) => group === index));
  const lines = [
    path,
    `  ${nodes} nodes, opset ${opset}, ${(sizeBytes / 1e6).toFixed(1)} MB${inspection.producer ? `, made by ${inspection.producer}` : ''}`,
    ...inputs.map((input) => `  input   ${value(input)}`), ...outputs.map((output) => `  output  ${value(output)}`),
    `  ${count(macs)} MACs, ${count(params)} parameters; ${groups.length} pruning groups in ${layers.length} layers`,
    '',
    `  ${fit('pruning group', nameWidth)} channels   MACs share  params share  layers`,
    ...groups.flatMap((group, index) => [
      `  ${fit(group.name, nameWidth)} ${String(group.channels).padStart(8)} ${percent(group.macs, macs).padStart(12)} ${percent(group.params, params).padStart(13)} ${String(layersOf[index]!.length).padStart(7)}`,
      ...(layersOf[index]!.length > 1 ? layersOf[index]!.filter(({ name }) => name !== group.name).map(({ name }) => `    with ${fit(name, nameWidth)}`.trimEnd()) : []),
    ]),
  ];
  if (frozen.length > 0) {
    const byReason = new Map<string, string[]>();
    for (const { name, reason } of frozen) byReason.set(reason, [...(byReason.get(reason) ?? []), name]);
    lines.push('', `  outputs of ${frozen.length} layers stay whole`);
    for (const [reason, names] of byReason) lines.push(`  ${reason}: ${names.length}`, ...names.slice(0, 5).map((name) => `    ${name}`), ...(names.length > 5 ? [`    and ${names.length - 5} more`] : []));
  }
  return lines;
}
