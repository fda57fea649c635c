import { type GraphProto, type ModelProto, TensorProto_DataType as DataType } from 'onnx-buf';
import { GraphBuilder } from '../onnx/graphBuilder.ts';
import { Session, doubles, floats } from './session.ts';

type Kind = 'float32' | 'float64';
type Numbers<K extends Kind> = K extends 'float32' ? Float32Array : Float64Array;

/**
 * Matrix products by onnxruntime (ONNX Gemm 13), in float32 or float64. Matrices are row-major.
 * One session per kind of arithmetic is created when first used and lives as long as the process.
 */
const sessions = new Map<string, Promise<Session>>();
let threadCount = 0;

/** Threads for arithmetic from now on; 0 lets onnxruntime choose. */
export function setMatrixThreads(threads: number): void {
  if (threads === threadCount) return;
  threadCount = threads;
  sessions.clear();
}

/** The session of arithmetic that is written as a graph. @param key tells it from all other arithmetic */
export function arithmetic(key: string, graph: () => ModelProto & { graph: GraphProto }): Promise<Session> {
  const session = sessions.get(key) ?? Session.create(graph(), { threads: threadCount });
  sessions.set(key, session);
  return session;
}

const gemmSession = (kind: Kind, transA: boolean, transB: boolean): Promise<Session> => arithmetic(`${kind} ${transA} ${transB}`, () => {
  const build = new GraphBuilder(), type = kind === 'float32' ? DataType.FLOAT : DataType.DOUBLE;
  build.output(build.op('Gemm', [build.input('a', ['i', 'j'], type), build.input('b', ['k', 'l'], type)], { transA: Number(transA), transB: Number(transB) }), 'c', ['m', 'n'], type);
  return build.model();
});

async function gemm<K extends Kind>(kind: K, a: Numbers<K>, aDims: readonly [number, number], b: Numbers<K>, bDims: readonly [number, number], transA: boolean, transB: boolean): Promise<Numbers<K>> {
  const session = await gemmSession(kind, transA, transB);
  const wrap = (data: Numbers<K>, dims: readonly [number, number]) => (data instanceof Float32Array ? floats(data, dims) : doubles(data, dims));
  const { c } = await session.run({ a: wrap(a, aDims), b: wrap(b, bDims) });
  return c!.data as Numbers<K>;
}

/** Products of fewer multiply-accumulates than this are made in JavaScript: crossing into onnxruntime costs more than they do. */
const smallProduct = 60_000;

/** a [i, k] times b [k, j], both given by strides of row and column. */
function plainProduct<A extends Float32Array | Float64Array>(a: A, b: A, i: number, k: number, j: number, aStrides: readonly [number, number], bStrides: readonly [number, number]): A {
  const out = (a instanceof Float32Array ? new Float32Array(i * j) : new Float64Array(i * j)) as A;
  for (let inner = 0; inner < k; inner++) {
    for (let row = 0; row < i; row++) {
      const factor = a[row * aStrides[0] + inner * aStrides[1]]!;
      for (let column = 0; column < j; column++) out[row * j + column]! += factor * b[inner * bStrides[0] + column * bStrides[1]]!;
    }
  }
  return out;
}

/** a [i, k] times b [k, j]. */
export const product = async <A extends Float32Array | Float64Array>(a: A, b: A, i: number, k: number, j: number): Promise<A> =>
  i * k * j < smallProduct ? plainProduct(a, b, i, k, j, [k, 1], [j, 1]) : gemm(kindOf(a), a as never, [i, k], b as never, [k, j], false, false) as Promise<unknown> as Promise<A>;
/** a [k, i] transposed times b [k, j]: the Gram products. */
export const transposedProduct = async <A extends Float32Array | Float64Array>(a: A, b: A, k: number, i: number, j: number): Promise<A> =>
  i * k * j < smallProduct ? plainProduct(a, b, i, k, j, [1, i], [j, 1]) : gemm(kindOf(a), a as never, [k, i], b as never, [k, j], true, false) as Promise<unknown> as Promise<A>;
/** a [k, i] transposed times what a times b [i, j] comes to within bounds [k, j], in float32 and one run: the product in between, as large as the bounds, never leaves onnxruntime. */
export async function transposedWithin(a: Float32Array, b: Float32Array, { low, high }: { readonly low: Float32Array; readonly high: Float32Array }, k: number, i: number, j: number): Promise<Float32Array> {
  const session = await arithmetic('within', () => {
    const build = new GraphBuilder(), rows = build.input('a', ['k', 'i']), free = build.op('Gemm', [rows, build.input('b', ['i', 'j'])]);
    const within = build.op('Max', [build.op('Min', [free, build.input('high', ['k', 'j'])]), build.input('low', ['k', 'j'])]);
    build.output(build.op('Gemm', [rows, within], { transA: 1 }), 'c', ['i', 'j']);
    return build.model();
  });
  return (await session.run({ a: floats(a, [k, i]), b: floats(b, [i, j]), low: floats(low, [k, j]), high: floats(high, [k, j]) }))['c']!.data as Float32Array;
}

/** Columns of a Gram product that are made at once. */
const gramBlock = 384;

/** Adds aᵀa, a being [k, i], to the blocks of a symmetric sum [i, i] on and below its diagonal: half of the work of the whole; `mirror` completes it. */
export async function addGram(sum: Float64Array, a: Float32Array | Float64Array, k: number, i: number): Promise<void> {
  for (let start = 0; start < i; start += gramBlock) {
    const end = Math.min(i, start + gramBlock), width = end - start, rest = columnsFrom(a, k, i, start, i);
    const block = await transposedProduct(rest, columnsFrom(a, k, i, start, end), k, i - start, width);
    for (let row = start; row < i; row++) {
      const to = row * i + start, from = (row - start) * width;
      for (let column = 0; column < width; column++) sum[to + column]! += block[from + column]!;
    }
  }
}

/** Copies what is below the diagonal of a matrix [n, n] to above it, in tiles: rows of the one side are columns of the other. */
export function mirror(a: Float64Array, n: number): void {
  const tile = 32;
  for (let top = 0; top < n; top += tile) for (let left = 0; left <= top; left += tile) {
    const bottom = Math.min(n, top + tile), right = left + tile;
    for (let row = top; row < bottom; row++) for (let column = left; column < Math.min(right, row); column++) a[column * n + row] = a[row * n + column]!;
  }
}

/** Columns [from, to) of a [k, i]. */
export function columnsFrom<A extends Float32Array | Float64Array>(a: A, k: number, i: number, from: number, to: number): A {
  if (from === 0 && to === i) return a;
  const width = to - from, out = (a instanceof Float32Array ? new Float32Array(k * width) : new Float64Array(k * width)) as A;
  for (let row = 0; row < k; row++) out.set(a.subarray(row * i + from, row * i + to), row * width);
  return out;
}

/** a [i, k] times b [j, k] transposed. */
export const productTransposed = async <A extends Float32Array | Float64Array>(a: A, b: A, i: number, k: number, j: number): Promise<A> =>
  i * k * j < smallProduct ? plainProduct(a, b, i, k, j, [k, 1], [1, k]) : gemm(kindOf(a), a as never, [i, k], b as never, [j, k], false, true) as Promise<unknown> as Promise<A>;

const kindOf = (a: Float32Array | Float64Array): Kind => (a instanceof Float32Array ? 'float32' : 'float64');
