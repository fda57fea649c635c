/** Conv (ONNX 1, 11), ConvTranspose (1, 11): any rank, any group count. */
import { setAttribute } from '../../onnx/attributes.ts';
import type { AxisId } from '../axes.ts';
import type { NodeAxes } from '../nodeAxes.ts';
import type { NodeEdit, Rule } from '../rule.ts';

const product = (values: readonly number[]): number => values.reduce((a, b) => a * b, 1);

/** Spatial axes pass through a 1x1 kernel unchanged; a larger window ties neighbours together. */
function spatial(n: NodeAxes): void {
  const kernel = n.inputShape(1).slice(2), strides = n.ints('strides'), pads = n.ints('pads');
  kernel.forEach((size, i) => {
    const x = n.inAxis(0, i + 2), y = n.outAxis(i + 2);
    const through = size === 1 && (strides?.[i] ?? 1) === 1 && (pads ?? []).every((pad) => pad === 0) && n.inputShape(0)[i + 2] === n.outputShape()[i + 2];
    if (through) n.alias(y, 0, x);
    else for (const axis of [x, y]) n.axes.freeze(axis, `spatial axis of ${n.opType}`);
    n.axes.freeze(n.inAxis(1, i + 2), 'kernel axis');
  });
}

/** Groups of a convolution are an axis of their own, shared by its input and output channels. */
function groupAxis(n: NodeAxes, groups: number): AxisId {
  const axis = n.axes.virtual(groups);
  n.axes.groupAxes.set(n.node, axis);
  return axis;
}
function rewrite(n: NodeAxes, edit: NodeEdit): void {
  const axis = n.axes.groupAxes.get(n.node);
  if (axis !== undefined && edit.kept(axis)) setAttribute(edit.node(), 'group', edit.size(axis));
}

function conv(n: NodeAxes): void {
  const groups = n.int('group', 1), [outChannels = 0, inPerGroup = 0, ...kernel] = n.inputShape(1);
  const x = n.inAxis(0, 1), y = n.outAxis(1), weightOut = n.inAxis(1, 0), weightIn = n.inAxis(1, 1);
  n.alias(n.outAxis(0), 0, n.inAxis(0, 0));
  spatial(n);
  n.alias(y, 1, weightOut);
  if (n.has(2)) n.alias(y, 2, n.inAxis(2, 0));
  if (groups === 1) n.contract(x, weightIn);
  else {
    const group = groupAxis(n, groups);
    n.axes.regroup([x], [group, weightIn]);
    n.axes.regroup([y], [group, n.axes.virtual(outChannels / groups)]);
    if (inPerGroup > 1) n.contract(weightIn);
  }
  n.layer(1, n.has(2) ? 2 : -1, { outAxis: 0, inAxis: 1, groups });
  n.cost(product(kernel), [n.outAxis(0), ...n.outputShape().slice(2).map((_, i) => n.outAxis(i + 2)), weightOut, weightIn]);
}

function convTranspose(n: NodeAxes): void {
  const groups = n.int('group', 1), [inChannels = 0, , ...kernel] = n.inputShape(1);
  const x = n.inAxis(0, 1), y = n.outAxis(1), weightIn = n.inAxis(1, 0), weightOut = n.inAxis(1, 1);
  n.alias(n.outAxis(0), 0, n.inAxis(0, 0));
  spatial(n);
  if (n.has(2)) n.alias(y, 2, n.inAxis(2, 0));
  if (groups === 1) {
    n.alias(y, 1, weightOut);
    n.contract(x, weightIn);
  } else {
    const group = groupAxis(n, groups), inPerGroup = n.axes.virtual(inChannels / groups);
    n.axes.alias(x, weightIn);
    n.axes.regroup([x], [group, inPerGroup]);
    n.regroup([y], 1, [group, weightOut]);
    if (inChannels > groups) n.contract(weightIn);
  }
  n.layer(1, n.has(2) ? 2 : -1, { outAxis: 1, inAxis: 0, groups });
  n.cost(product(kernel), [n.inAxis(0, 0), ...n.inputShape(0).slice(2).map((_, i) => n.inAxis(0, i + 2)), weightIn, weightOut]);
}

export const convolution: Readonly<Record<string, Rule>> = {
  Conv: { relate: conv, zeros: [1, 2], rewrite },
  ConvTranspose: { relate: convTranspose, zeros: [1, 2], rewrite },
};
