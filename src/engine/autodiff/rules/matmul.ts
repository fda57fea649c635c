import { floatAttribute, intAttribute, stringAttribute } from '../../onnx/attributes.ts';
import { type Rule, type Rules, outputGradient, product, range, unbroadcast, unsupported } from '../rule.ts';

/** Y = alpha * A' * B' + beta * C (ONNX Gemm-13); every gradient is again a Gemm. */
const gemm: Rule = (context) => {
  const { node, build, shape, wants } = context;
  const g = outputGradient(context), [a, b, c] = node.input as [string, string, string | undefined];
  const alpha = floatAttribute(node, 'alpha', 1), beta = floatAttribute(node, 'beta', 1);
  const transA = intAttribute(node, 'transA', 0), transB = intAttribute(node, 'transB', 0);
  const product2 = (left: string, right: string, transLeft: number, transRight: number): string => build.op('Gemm', [left, right], { alpha: { float: alpha }, transA: transLeft, transB: transRight });
  const scaled = (): string => unbroadcast(build, beta === 1 ? g : build.mul(g, beta), shape(node.output[0]!), shape(c!));
  return [
    wants(0) ? (transA ? product2(b, g, transB, 1) : product2(g, b, 0, 1 - transB)) : undefined,
    wants(1) ? (transB ? product2(g, a, 1, transA) : product2(a, g, 1 - transA, 0)) : undefined,
    wants(2) ? scaled() : undefined,
  ];
};

/** numpy's matmul (ONNX MatMul-13): leading axes broadcast; a vector is a row on the left and a column on the right. */
const matMul: Rule = (context) => {
  const { node, build, shape, wants } = context;
  const [a, b] = node.input as [string, string], shapeA = shape(a), shapeB = shape(b), shapeY = shape(node.output[0]!);
  const rowA = shapeA.length === 1 ? [1, ...shapeA] : [...shapeA], columnB = shapeB.length === 1 ? [...shapeB, 1] : [...shapeB];
  const [m, k, n] = [rowA.at(-2)!, rowA.at(-1)!, columnB.at(-1)!];
  const lead = shapeY.slice(0, shapeY.length - Number(shapeA.length > 1) - Number(shapeB.length > 1));
  const as = (value: string, from: readonly number[], to: readonly number[]): string => (from.length === to.length ? value : build.reshape(value, to));
  const left = as(a, shapeA, rowA), right = as(b, shapeB, columnB), g = as(outputGradient(context), shapeY, [...lead, m, n]);
  const transposed = (value: string, rank: number): string => build.transpose(value, [...range(rank - 2), rank - 1, rank - 2]);

  if (columnB.length === 2) { // a linear layer: one product over all rows
    const rows = product(rowA.slice(0, -1)), flatG = as(g, [...lead, m, n], [rows, n]);
    return [
      wants(0) ? as(build.op('Gemm', [flatG, right], { transB: 1 }), [rows, k], shapeA) : undefined,
      wants(1) ? as(build.op('Gemm', [as(left, rowA, [rows, k]), flatG], { transA: 1 }), [k, n], shapeB) : undefined,
    ];
  }
  return [
    wants(0) ? as(unbroadcast(build, build.op('MatMul', [g, transposed(right, columnB.length)]), [...lead, m, k], rowA), rowA, shapeA) : undefined,
    wants(1) ? as(unbroadcast(build, build.op('MatMul', [transposed(left, rowA.length), g]), [...lead, k, n], columnB), columnB, shapeB) : undefined,
  ];
};

/** Einsum-12: the gradient by one operand is the sum over the other operands and the output gradient with that operand's letters as result. */
const einsum: Rule = (context) => {
  const { node, build, shape, wants } = context;
  const equation = stringAttribute(node, 'equation', '').replaceAll(' ', '');
  const [left, right] = equation.split('->') as [string, string | undefined], terms = left.split(',');
  const repeated = (term: string): boolean => new Set(term).size !== term.length;
  if (right === undefined || equation.includes('.') || terms.some(repeated)) throw unsupported(node, `the equation "${equation}" has no gradient rule`);
  const g = outputGradient(context);
  return terms.map((term, i) => {
    if (!wants(i)) return undefined;
    const others = terms.filter((_, j) => j !== i), known = new Set([right, ...others].join('')), present = [...term].filter((letter) => known.has(letter));
    const result = build.op('Einsum', [g, ...node.input.filter((_, j) => j !== i)], { equation: `${[right, ...others].join()}->${present.join('')}` });
    if (present.length === term.length) return result;
    const dims = shape(node.input[i]!); // a letter of this operand alone was summed over: every element counts alike
    return build.op('Expand', [build.reshape(result, dims.map((dim, axis) => (known.has(term[axis]!) ? dim : 1))), build.ints(dims)]);
  });
};

export const matmulRules: Rules = { Gemm: gemm, MatMul: matMul, Einsum: einsum };
