/** A model as text: what goes in and out, one line a node, and what can be pruned once that is known. Pure: no VS Code. */
import type { GraphListing, Inspection, ListedNode, ListedValue } from '../engine/protocol.ts';

/** Where a node stands in the text. */
export interface NodeLine { readonly name: string; /** Character after the operator, where its annotation goes. */ readonly afterOperator: number }
export interface OnnxText { readonly text: string; /** The node of each line (from 0) that shows one. */ readonly nodeAtLine: ReadonlyMap<number, NodeLine> }
/** What the engine's analysis found: its result, why there is none, or undefined while it is at work. */
export type Analysed = Inspection | { readonly problem: string } | undefined;

const longestLine = 1000, widestName = 48;
const count = (value: number) => value.toLocaleString('en');
const cut = (line: string) => (line.length <= longestLine ? line : `${line.slice(0, longestLine)} ...`);
const values = (kind: string, list: GraphListing['inputs']) => list.map(({ name, elementType, shape }) => cut(`${kind.padEnd(6)} ${name}: ${elementType}[${shape.join(', ')}]`));
const value = ({ name, shape, elementType }: ListedValue) => (shape ? `${name} ${elementType ?? ''}[${shape.join(', ')}]` : name || 'none');

/** `node   /conv/Conv = Conv(x, w float32[8, 3, 3, 3]) -> y {group 1, pads [1, 1, 1, 1]}`; nodes of subgraphs are indented. */
function nodeLine({ name, opType, depth, inputs, outputs, attributes }: ListedNode, width: number): { readonly line: string; readonly afterOperator: number } {
  const head = `${'  '.repeat(Math.min(depth, 20))}node   ${name.padEnd(width)} = ${opType}`;
  const given = attributes.length > 0 ? ` {${attributes.map((attribute) => `${attribute.name} ${attribute.value}`).join(', ')}}` : '';
  return { line: cut(`${head}(${inputs.map(value).join(', ')}) -> ${outputs.join(', ')}${given}`), afterOperator: head.length };
}

/** What the analysis says of the model: its cost, the channels that can only go together, and what stays whole. */
function analysisLines(analysed: Analysed): readonly string[] {
  if (analysed === undefined) return [];
  if ('problem' in analysed) return ['', `# Can't be compressed: ${analysed.problem}`];
  const { macs, params, groups, frozen } = analysed;
  return [
    '', `# ${count(macs)} MACs, ${count(params)} parameters`,
    ...groups.map(({ name, channels, producers, consumers }) => cut(`group  ${name}: ${count(channels)} channels, made by ${producers.join(', ')}, read by ${consumers.join(', ') || 'nothing'}`)),
    ...frozen.map(({ name, reason }) => cut(`frozen ${name}: ${reason}`)),
  ];
}

export function onnxText(listing: GraphListing, fileName: string, analysed?: Analysed): OnnxText {
  const { opsets, producer, nodes, nodeCount, initializers } = listing;
  const width = nodes.reduce((widest, { name }) => Math.max(widest, Math.min(widestName, name.length)), 0);
  const head = [
    `model  ${fileName}`, `opset  ${opsets.join(', ') || 'none'}`, `# ${producer || 'unknown producer'}; ${count(nodeCount)} nodes, ${count(initializers)} initializers`, '',
    ...values('input', listing.inputs), ...values('output', listing.outputs), '',
  ];
  const lines = nodes.map((node) => nodeLine(node, width));
  const rest = nodeCount > nodes.length ? [`# ... and ${count(nodeCount - nodes.length)} more nodes`] : [];
  return {
    text: `${[...head, ...lines.map(({ line }) => line), ...rest, ...analysisLines(analysed)].join('\n').trimEnd()}\n`,
    nodeAtLine: new Map(nodes.map(({ name }, index) => [head.length + index, { name, afterOperator: lines[index]!.afterOperator }])),
  };
}
