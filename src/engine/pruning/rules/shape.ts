/** Operators that make numbers out of shapes or tensors out of numbers. Shape arithmetic stays in the sizes before pruning. */
import { makeNode, tensorAttribute } from '../../onnx/attributes.ts';
import { rawBytes } from '../../onnx/tensor.ts';
import type { AxisId } from '../axes.ts';
import { type NodeAxes, positive } from '../nodeAxes.ts';
import type { NodeEdit, Rule } from '../rule.ts';

/** The axes that a Shape node (ONNX 15: start, end) reports. */
function reported(n: NodeAxes): AxisId[] {
  return n.axes.axesOf(n.input(0)).slice(n.int('start', 0), n.hasAttribute('end') ? n.int('end', 0) : undefined);
}

/** Whether every reader takes a single unpruned size out of the shape, as Shape-Gather chains do. */
function readersIgnore(n: NodeAxes, changed: readonly boolean[]): boolean {
  if (n.view.isOutput(n.output()) || n.view.capturedBySubgraphs.has(n.output())) return false;
  return n.view.usesOf(n.output()).every(({ node, index }) => {
    if (node.opType !== 'Gather' || index !== 0) return false;
    const positions = n.view.constants.get(node.input[1] ?? '') && n.peer(node).intsIn(1);
    return positions?.every((p) => !changed[positive(p, changed.length)]);
  });
}

/** Corrects a computed list of sizes to what it was before pruning: times the old size, divided by the new one. */
function restore(n: NodeAxes, edit: NodeEdit, oldSizes: readonly number[], newSizes: readonly number[], dims: readonly number[]): void {
  const node = edit.node(), raw = edit.freshName(`${n.output()}/pruned`), scaled = edit.freshName(`${n.output()}/scaled`);
  node.output = [raw];
  edit.after.push(
    makeNode('Mul', [raw, edit.constant(oldSizes, dims)], [scaled]),
    makeNode('Div', [scaled, edit.constant(newSizes, dims)], [n.output()]));
}

export const shape: Readonly<Record<string, Rule>> = {
  Constant: { relate: (n) => { if (!n.view.constants.has(n.output())) n.freezeAll('Constant that is not a tensor'); } },
  Shape: {
    relate: () => undefined,
    rewrite: (n, edit) => {
      const axes = reported(n), changed = axes.map((axis) => edit.kept(axis) !== undefined);
      if (!changed.includes(true) || readersIgnore(n, changed)) return;
      restore(n, edit, axes.map((axis, i) => (changed[i] ? n.axes.sizeOf(axis) : 1)), axes.map((axis, i) => (changed[i] ? edit.size(axis) : 1)), [axes.length]);
    },
  },
  Size: {
    relate: () => undefined,
    rewrite: (n, edit) => {
      const axes = n.axes.axesOf(n.input(0)).filter((axis) => edit.kept(axis));
      const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);
      if (axes.length > 0) restore(n, edit, [product(axes.map((axis) => n.axes.sizeOf(axis)))], [product(axes.map((axis) => edit.size(axis)))], []);
    },
  },
  ConstantOfShape: {
    relate: () => undefined,
    zeros: ({ node }) => { const value = tensorAttribute(node, 'value'); return !value || rawBytes(value).every((byte) => byte === 0) ? 'always' : undefined; },
    rewrite: (n, edit) => { edit.scaleSizes(0, n.axes.axesOf(n.output())); },
  },
};
