import type { GraphProto, NodeProto } from 'onnx-buf';
import { subgraphsOf } from '../onnx/attributes.ts';
import { type GraphView, capturedValues } from '../onnx/graphView.ts';

/** Operators whose outputs have as many elements as their data make of them. */
const sizedByData = /^(NonZero|NonMaxSuppression|Unique|Compress|StringSplit|TfIdfVectorizer|ImageDecoder|ConcatFromSequence|Sequence\w+|SplitToSequence|Optional\w*)$/;
/** Operators that write into a copy of their first input, whose shape is the output's. */
const sizedByFirst = /^(Scatter|ScatterND|ScatterElements|TensorScatter)$/;
const random = /^(Random\w+|Bernoulli|Multinomial)$/;
/** Inputs whose numbers decide on the sizes of the output: for a node with subgraphs, which of them runs, and how often. */
const sizeInputs: Readonly<Record<string, readonly number[]>> = {
  Reshape: [1], Expand: [1], Tile: [1], ConstantOfShape: [0], Range: [0, 1, 2], Slice: [1, 2, 3, 4], Split: [1], Pad: [1, 3], Resize: [1, 2, 3], Upsample: [1], TopK: [1], OneHot: [1],
  CenterCropPad: [1], MaxUnpool: [2], Squeeze: [1], Unsqueeze: [1], DFT: [1, 2], Col2Im: [1], AffineGrid: [1], If: [0], Loop: [0, 1],
};

/** What of a graph's values depends on constants and on the sizes of its inputs alone: what it is in one run on inputs of a shape, it is in every such run. */
export interface KnownValues {
  /** Values whose contents do. */
  readonly contents: ReadonlySet<string>;
  /** Values whose shapes do. */
  readonly shapes: ReadonlySet<string>;
}

/** @see KnownValues */
export function knownValues(view: GraphView): KnownValues {
  const contents = new Set(view.constants.keys());
  return learnt(view.nodes, contents, new Set([...contents, ...view.initializers.keys(), ...view.inputs]));
}

/** What nodes add to what is known before them. @param contents and shapes: are added to */
function learnt(nodes: readonly NodeProto[], contents: Set<string>, shapes: Set<string>): KnownValues {
  for (const node of nodes) {
    const { opType, input, output } = node, own = input.filter((value) => value !== ''), given = [...own, ...capturedValues(node)], bodies = subgraphsOf(node);
    const counted = own.every((value) => contents.has(value)), sized = (sizeInputs[opType] ?? []).every((i) => !input[i] || contents.has(input[i])) && !sizedByData.test(opType);
    let told = opType === 'Constant' || (opType === 'Shape' || opType === 'Size' ? shapes.has(own[0]!) : own.length > 0 && counted && !random.test(opType));
    let shaped = sized && (sizedByFirst.test(opType) ? own.slice(0, 1) : given).every((value) => shapes.has(value));
    for (const body of told || shaped ? bodies : []) {
      const inner = learntWithin(body, opType === 'Loop', counted, { contents, shapes }), goesOn = opType !== 'Loop' || inner.contents.has(body.output[0]!.name);
      told &&= goesOn && body.output.every(({ name }) => inner.contents.has(name));
      shaped &&= goesOn && body.output.every(({ name }) => inner.shapes.has(name));
    }
    for (const value of output) {
      if (told) contents.add(value);
      if (told || shaped) shapes.add(value);
    }
  }
  return { contents, shapes };
}

/** What is known in a subgraph, turn after turn: the shapes of what it is given, and which turn of a loop it is. @param counted whether what the node is given is known itself */
function learntWithin({ node, input, initializer }: GraphProto, loop: boolean, counted: boolean, { contents, shapes }: KnownValues): KnownValues {
  const named = (values: readonly { readonly name: string }[]): string[] => values.map(({ name }) => name);
  return learnt(node, new Set([...contents, ...named(initializer), ...named(counted ? input : loop ? input.slice(0, 2) : [])]), new Set([...shapes, ...named(initializer), ...named(input)]));
}
