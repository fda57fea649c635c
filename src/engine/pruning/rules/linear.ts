/** Sums of products: Gemm (ONNX 13), MatMul (13), Einsum (12). Weights may be constant or computed. */
import { floatAttribute, stringAttribute } from '../../onnx/attributes.ts';
import { UnsupportedModelError } from '../../errors.ts';
import { nodeLabel } from '../../onnx/graphView.ts';
import type { AxisId } from '../axes.ts';
import type { NodeAxes } from '../nodeAxes.ts';
import type { Rule } from '../rule.ts';

function gemm(n: NodeAxes): void {
  const ta = n.int('transA', 0), tb = n.int('transB', 0);
  const k = n.inAxis(0, ta ? 0 : 1), m = n.inAxis(0, ta ? 1 : 0), weightIn = n.inAxis(1, tb ? 1 : 0), weightOut = n.inAxis(1, tb ? 0 : 1);
  n.contract(k, weightIn);
  n.alias(n.outAxis(0), 0, m);
  n.alias(n.outAxis(1), 1, weightOut);
  if (n.has(2)) n.broadcast(2);
  n.layer(1, n.has(2) && floatAttribute(n.node, 'beta', 1) !== 0 ? 2 : -1, { outAxis: tb ? 0 : 1, inAxis: tb ? 1 : 0 });
  n.cost(1, [m, weightIn, weightOut]);
}

/** MatMul, and com.microsoft's FusedMatMul that may read its operands transposed. */
function matmul(n: NodeAxes): void {
  const a = n.inputShape(0), b = n.inputShape(1), rank = n.outputShape().length;
  const ta = a.length > 1 && n.int('transA', 0) === 1, tb = b.length > 1 && n.int('transB', 0) === 1;
  const k = n.inAxis(0, ta ? -2 : -1), weightIn = n.inAxis(1, b.length === 1 ? 0 : tb ? -1 : -2);
  n.contract(k, weightIn);
  const rows = a.length > 1 ? 1 : 0, columns = b.length > 1 ? 1 : 0; // vectors have no row or column axis in the output
  if (rows) n.alias(n.outAxis(rank - 1 - columns), 0, n.inAxis(0, ta ? -1 : -2));
  if (columns) n.alias(n.outAxis(rank - 1), 1, n.inAxis(1, tb ? -2 : -1));
  const batch = rank - rows - columns;
  for (const [input, shape] of [[0, a], [1, b]] as const) {
    const own = Math.max(0, shape.length - 2);
    for (let i = 0; i < own; i++) n.alias(n.outAxis(batch - own + i), input, n.inAxis(input, i));
  }
  if (b.length === 2) n.layer(1, -1, { outAxis: tb ? 0 : 1, inAxis: tb ? 1 : 0 });
  else if (a.length === 2) n.layer(0, -1, { outAxis: ta ? 1 : 0, inAxis: ta ? 0 : 1, input: 1 });
  n.cost(1, [...n.axes.axesOf(n.output()), k]);
}

/** Subscripts of each operand and of the output, an ellipsis spelled out in capital letters that no operand uses. */
function subscripts(n: NodeAxes): { inputs: string[]; output: string } {
  const equation = stringAttribute(n.node, 'equation', '').replaceAll(' ', '');
  const [left = '', right] = equation.split('->');
  const free = [...'ZYXWVUTSRQPONMLKJIHGFEDCBA'].filter((letter) => !equation.includes(letter));
  const spell = (term: string, rank: number): string => term.replace('...', () => free.slice(0, rank - (term.length - 3)).reverse().join(''));
  const inputs = left.split(',').map((term, i) => spell(term, n.inputShape(i).length));
  // without an output, it has the ellipsis, then every letter that occurs once, in alphabetical order
  const letters = [...left.replace(/[^A-Za-z]/g, '')], once = letters.filter((letter) => letters.indexOf(letter) === letters.lastIndexOf(letter)).sort().join('');
  const output = spell(right ?? `${left.includes('...') ? '...' : ''}${once}`, n.outputShape().length);
  if (inputs.some((term, i) => term.length !== n.inputShape(i).length)) throw new UnsupportedModelError(`${nodeLabel(n.node)}: can't read the equation "${equation}".`);
  return { inputs, output };
}

function einsum(n: NodeAxes): void {
  const { inputs, output } = subscripts(n);
  const axesOf = new Map<string, { input: number; axis: AxisId }[]>();
  inputs.forEach((term, input) => {
    [...term].forEach((letter, i) => { axesOf.set(letter, [...(axesOf.get(letter) ?? []), { input, axis: n.inAxis(input, i) }]); });
  });
  for (const [letter, uses] of axesOf) {
    const at = output.indexOf(letter), axes = uses.map(({ axis }) => axis);
    if (new Set(uses.map(({ input }) => input)).size < uses.length) for (const axis of axes) n.axes.freeze(axis, 'diagonal in Einsum');
    if (at >= 0) for (const { input, axis } of uses) n.alias(n.outAxis(at), input, axis);
    else n.contract(...axes);
  }
  if (inputs.length === 2 && inputs[1]!.length === 2) {
    const outAxis = [...inputs[1]!].findIndex((letter) => output.includes(letter) && !inputs[0]!.includes(letter));
    const inAxis = [...inputs[1]!].findIndex((letter) => !output.includes(letter) && inputs[0]!.includes(letter));
    if (outAxis >= 0 && inAxis >= 0) n.layer(1, -1, { outAxis, inAxis });
  }
  n.cost(1, [...axesOf.values()].map((uses) => (uses.find(({ axis }) => n.axes.sizeOf(axis) > 1) ?? uses[0]!).axis));
}

export const linear: Readonly<Record<string, Rule>> = {
  Gemm: { relate: gemm, zeros: [1, 2] },
  MatMul: { relate: matmul, zeros: 'any' },
  Einsum: { relate: einsum, zeros: 'any' },
};
