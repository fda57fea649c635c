import { intAttribute, intsAttribute, stringAttribute } from '../../onnx/attributes.ts';
import { DataType } from '../../onnx/tensor.ts';
import { alongAxis } from '../alongAxis.ts';
import { type Rule, type RuleContext, type Rules, frontAxis, outputGradient, product, range, unbroadcast, unsupported } from '../rule.ts';

/** Operators that only rename positions: the gradient is reshaped back. */
const reshaping: Rule = (context) => [context.build.reshape(outputGradient(context), context.shape(context.node.input[0]!))];

const axisOf = ({ node, shape }: RuleContext): number => frontAxis(intAttribute(node, 'axis', 0), shape(node.output[0]!).length);

const concat: Rule = (context) => {
  const { node, build, shape, wants } = context;
  const axis = axisOf(context), lengths = node.input.map((value) => shape(value)[axis]!);
  const pieces = build.split(outputGradient(context), axis, lengths);
  return node.input.map((_, i) => (wants(i) ? pieces[i] : undefined));
};

const split: Rule = (context) => {
  const { node, build, shape, gradients } = context;
  const pieces = node.output.map((value, i) => gradients[i] ?? build.zeros(shape(value)));
  return [build.concat(pieces, axisOf(context))];
};

const transpose: Rule = (context) => {
  const { node, build, shape } = context;
  const perm = intsAttribute(node, 'perm') ?? range(shape(node.input[0]!).length).reverse();
  return [build.transpose(outputGradient(context), perm.map((_, i) => perm.indexOf(i)))];
};

/** Slice-13: with step 1 the gradient is padded with zeros; other steps are spread out by indices (ScatterElements is one axis at a time). */
const slice: Rule = (context) => {
  const { node, build, shape, contents } = context;
  const dims = shape(node.input[0]!), rank = dims.length;
  const [starts, ends] = [contents(node.input[1]!), contents(node.input[2]!)];
  const axes = node.input[3] ? contents(node.input[3]).map((axis) => frontAxis(axis, rank)) : range(starts.length);
  const steps = node.input[4] ? contents(node.input[4]) : starts.map(() => 1);
  if (ends.length !== starts.length || axes.length !== starts.length) throw unsupported(node, 'its starts, ends and axes differ in number');
  let gradient = outputGradient(context);
  const before = dims.map(() => 0), after = dims.map(() => 0), out = shape(node.output[0]!);
  axes.forEach((axis, i) => {
    const dim = dims[axis]!, length = out[axis]!, stride = steps[i]!, start = starts[i]! < 0 ? starts[i]! + dim : starts[i]!;
    const first = stride > 0 ? Math.max(0, Math.min(start, dim)) : Math.max(0, Math.min(start, dim - 1));
    if (stride === 1) { before[axis] = first; after[axis] = dim - first - length; return; }
    // position p of the input took output index (p - first) / stride; others read an appended zero
    const source = range(dim).map((p) => { const index = (p - first) / stride; return Number.isInteger(index) && index >= 0 && index < length ? index : length; });
    const padded = build.op('Pad', [gradient, build.ints([...dims.map(() => 0), ...dims.map((_, a) => Number(a === axis))])]);
    gradient = build.op('Gather', [padded, build.ints(source)], { axis });
  });
  return [[...before, ...after].some((pad) => pad !== 0) ? build.op('Pad', [gradient, build.ints([...before, ...after])]) : gradient];
};

/** Pad-13 and later: constant padding is cut off; reflected and repeated borders return what they copied. */
const pad: Rule = (context) => {
  const { node, build, shape, contents } = context;
  const mode = stringAttribute(node, 'mode', 'constant'), dims = shape(node.input[0]!), rank = dims.length;
  const given = contents(node.input[1]!), axes = node.input[3] ? contents(node.input[3]).map((axis) => frontAxis(axis, rank)) : range(rank);
  const before = dims.map(() => 0), after = dims.map(() => 0);
  axes.forEach((axis, i) => { before[axis] = given[i]!; after[axis] = given[i + axes.length]!; });
  let gradient = outputGradient(context);
  for (const axis of range(rank)) {
    const low = before[axis]!, high = after[axis]!, dim = dims[axis]!;
    if (low === 0 && high === 0) continue;
    if (mode === 'constant' && low >= 0 && high >= 0) { gradient = build.slice(gradient, [axis], [low], [low + dim]); continue; }
    if (mode === 'constant') {
      const cropped = build.slice(gradient, [axis], [Math.max(0, low)], [Math.max(0, low) + Math.min(dim, dim + Math.min(0, low) + Math.min(0, high))]);
      gradient = build.op('Pad', [cropped, build.ints([...range(rank).map((a) => (a === axis ? Math.max(0, -low) : 0)), ...range(rank).map((a) => (a === axis ? Math.max(0, -high) : 0))])]);
      continue;
    }
    // output position p copies input position source(p): the transposed copy is a 0/1 matrix applied along the axis
    const source = (p: number): number => {
      const q = p - low;
      if (mode === 'edge') return Math.max(0, Math.min(dim - 1, q));
      if (mode === 'wrap') return ((q % dim) + dim) % dim;
      const period = Math.max(1, 2 * (dim - 1)), folded = ((q % period) + period) % period;
      return folded < dim ? folded : period - folded;
    };
    const matrix = new Float32Array((dim + low + high) * dim);
    for (let p = 0; p < dim + low + high; p++) matrix[p * dim + source(p)] = 1;
    gradient = alongAxis(build, gradient, rank, axis, dim + low + high, dim, matrix);
  }
  return [gradient];
};

/** Gather-13: rows of the gradient are added to the rows that they came from. */
const gather: Rule = (context) => {
  const { node, build, shape, wants } = context;
  if (!wants(0)) return [undefined];
  const [data, indices] = node.input as [string, string], dims = shape(data), rank = dims.length;
  const axis = frontAxis(intAttribute(node, 'axis', 0), rank), count = product(shape(indices));
  const outer = dims.slice(0, axis), inner = dims.slice(axis + 1);
  // one-hot product instead of a scatter: exact for repeated indices and run by the matrix multiply; onnxruntime has OneHot for int64 only
  const oneHot = build.op('OneHot', [build.reshape(build.op('Cast', [indices], { to: DataType.INT64 }), [count]), build.scalarInt(dims[axis]!), build.floats([2], Float32Array.of(0, 1))]);
  const rows = build.reshape(outputGradient(context), [product(outer), count, product(inner)]);
  const summed = build.op('MatMul', [build.transpose(oneHot, [1, 0]), rows]);
  return [build.reshape(summed, dims)];
};

/** GatherND-13: the gradient is added where the elements came from. */
const gatherND: Rule = (context) => {
  const { node, build, shape, wants } = context;
  if (intAttribute(node, 'batch_dims', 0) !== 0) throw unsupported(node, 'it has batch_dims');
  return [wants(0) ? build.op('ScatterND', [build.zeros(shape(node.input[0]!)), node.input[1]!, outputGradient(context)], { reduction: 'add' }) : undefined];
};

/** ScatterND-13 and ScatterElements-13 that replace: what was replaced gets nothing, the replacements get theirs (indices are taken to be unique). */
const scatter = (gathering: string): Rule => (context) => {
  const { node, build, shape, wants } = context;
  const [, indices, updates] = node.input as [string, string, string], g = outputGradient(context);
  const axis: Record<string, number> = gathering === 'GatherElements' ? { axis: intAttribute(node, 'axis', 0) } : {};
  if (stringAttribute(node, 'reduction', 'none') !== 'none') throw unsupported(node, 'it has a reduction');
  return [
    wants(0) ? build.op(node.opType, [g, indices, build.zeros(shape(updates))], axis) : undefined, undefined,
    wants(2) ? build.op(gathering, [g, indices], axis) : undefined,
  ];
};

/** GatherElements-13. */
const gatherElements: Rule = (context) => {
  const { node, build, shape } = context;
  return [build.op('ScatterElements', [build.zeros(shape(node.input[0]!)), node.input[1]!, outputGradient(context)], { axis: intAttribute(node, 'axis', 0), reduction: 'add' })];
};

/** CumSum-14: summed from the other end. */
const cumSum: Rule = (context) => {
  const { node, build } = context;
  return [build.op('CumSum', [outputGradient(context), node.input[1]!], { exclusive: intAttribute(node, 'exclusive', 0), reverse: 1 - intAttribute(node, 'reverse', 0) })];
};

/** Expand-13 and Tile-13: copies are added up. */
const expand: Rule = (context) => [unbroadcast(context.build, outputGradient(context), context.shape(context.node.output[0]!), context.shape(context.node.input[0]!))];
const tile: Rule = (context) => {
  const { node, build, shape, contents } = context;
  const dims = shape(node.input[0]!), repeats = contents(node.input[1]!);
  const split = build.reshape(outputGradient(context), dims.flatMap((dim, axis) => [repeats[axis]!, dim]));
  return [build.sum(split, range(dims.length).map((axis) => 2 * axis))];
};

/** DepthToSpace-13 and SpaceToDepth-13 undo each other (SpaceToDepth is the inverse of mode DCR; CRD is undone by hand). */
const depthToSpace: Rule = (context) => {
  const { node, build, shape } = context;
  const blocksize = intAttribute(node, 'blocksize', 1), g = outputGradient(context);
  if (stringAttribute(node, 'mode', 'DCR') === 'DCR') return [build.op('SpaceToDepth', [g], { blocksize })];
  const [n, c, h, w] = shape(node.input[0]!) as [number, number, number, number], b = blocksize;
  return [build.reshape(build.transpose(build.reshape(g, [n, c / b / b, h, b, w, b]), [0, 1, 3, 5, 2, 4]), [n, c, h, w])];
};

export const dataMovementRules: Rules = {
  Reshape: reshaping, Flatten: reshaping, Squeeze: reshaping, Unsqueeze: reshaping,
  Concat: concat, Split: split, Transpose: transpose, Slice: slice, Pad: pad, Gather: gather, Expand: expand, Tile: tile,
  GatherND: gatherND, GatherElements: gatherElements, ScatterND: scatter('GatherND'), ScatterElements: scatter('GatherElements'), CumSum: cumSum,
  DepthToSpace: depthToSpace,
  SpaceToDepth: (context) => [context.build.op('DepthToSpace', [outputGradient(context)], { blocksize: intAttribute(context.node, 'blocksize', 1) })],
};
