import { subgraphsOf } from '../onnx/attributes.ts';
import type { GraphView } from '../onnx/graphView.ts';

/** Operators whose outputs have as many elements as their data make of them. */
const sizedByData = /^(NonZero|NonMaxSuppression|Unique|Compress|StringSplit|TfIdfVectorizer|ImageDecoder|ConcatFromSequence|Sequence\w+|SplitToSequence|Optional\w*)$/;
const random = /^(Random\w+|Bernoulli|Multinomial)$/;
/** Inputs whose numbers decide on the sizes of the output. */
const sizeInputs: Readonly<Record<string, readonly number[]>> = {
  Reshape: [1], Expand: [1], Tile: [1], ConstantOfShape: [0], Range: [0, 1, 2], Slice: [1, 2, 3, 4], Split: [1], Pad: [1, 3], Resize: [1, 2, 3], Upsample: [1], TopK: [1], OneHot: [1],
  CenterCropPad: [1], MaxUnpool: [2], Squeeze: [1], Unsqueeze: [1], DFT: [1, 2], Col2Im: [1], AffineGrid: [1],
};

/** Values whose contents depend on constants and on the sizes of the graph's inputs alone: what they are in one run on inputs of a shape, they are in every such run. */
export function knownValues(view: GraphView): ReadonlySet<string> {
  const contents = new Set(view.constants.keys()), shapes = new Set([...contents, ...view.initializers.keys(), ...view.inputs]);
  for (const node of view.nodes) {
    const { opType, input, output } = node, given = input.filter((value) => value !== '');
    if (subgraphsOf(node).length > 0) continue;
    const told = opType === 'Shape' || opType === 'Size' ? shapes.has(input[0] ?? '') : given.length > 0 && !random.test(opType) && given.every((value) => contents.has(value));
    const shaped = !sizedByData.test(opType) && given.every((value) => shapes.has(value)) && (sizeInputs[opType] ?? []).every((i) => !input[i] || contents.has(input[i]));
    for (const value of output) {
      if (told) contents.add(value);
      if (told || shaped) shapes.add(value);
    }
  }
  return contents;
}
