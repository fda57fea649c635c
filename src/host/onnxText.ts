/** A model as text: what goes in and out, and one line a layer. Pure: no VS Code. */
import type { Inspection } from '../engine/protocol.ts';

export interface OnnxText { readonly text: string; /** Layer of each line (from 0) that shows one, by name. */ readonly layerAtLine: ReadonlyMap<number, string> }

const count = (value: number) => value.toLocaleString('en');
const values = (kind: string, list: Inspection['inputs']) => list.map(({ name, elementType, shape }) => `${kind.padEnd(6)} ${name}: ${elementType}[${shape.join(', ')}]`);

export function onnxText(inspection: Inspection, fileName: string): OnnxText {
  const { opset, producer, nodes, macs, params, layers, groups, frozen } = inspection;
  const width = Math.min(60, Math.max(0, ...layers.map(({ name }) => name.length)));
  const head = [
    `model  ${fileName}`, `opset  ${opset}`, `# ${producer || 'unknown producer'}; ${count(nodes)} nodes, ${count(macs)} MACs, ${count(params)} parameters`, '',
    ...values('input', inspection.inputs), ...values('output', inspection.outputs), '',
  ];
  const lines = layers.map(({ name, opType, weight, weightShape }) => `layer  ${name.padEnd(width)} = ${opType}(${weight} [${weightShape.join(', ')}])`);
  const tail = [
    '', ...groups.map(({ name, channels, producers, consumers }) => `group  ${name}: ${count(channels)} channels, made by ${producers.join(', ')}, read by ${consumers.join(', ') || 'nothing'}`),
    '', ...frozen.map(({ name, reason }) => `frozen ${name}: ${reason}`),
  ];
  return { text: `${[...head, ...lines, ...tail].join('\n').trimEnd()}\n`, layerAtLine: new Map(layers.map(({ name }, index) => [head.length + index, name])) };
}
