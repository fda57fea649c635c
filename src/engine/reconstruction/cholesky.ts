import { product, productTransposed, transposedProduct } from '../runtime/matrix.ts';

const blockSize = 128;

/** Rows [r0, r1) and columns [c0, c1) of a row-major matrix of `width` columns, as a contiguous copy. */
export function submatrix(a: Float64Array, width: number, r0: number, r1: number, c0: number, c1: number): Float64Array {
  const out = new Float64Array((r1 - r0) * (c1 - c0));
  for (let r = r0; r < r1; r++) out.set(a.subarray(r * width + c0, r * width + c1), (r - r0) * (c1 - c0));
  return out;
}

/** Factors one diagonal block in place by the textbook recurrence. A pivot that is not positive is raised to `floor`. */
function factorBlock(a: Float64Array, n: number, start: number, end: number, floor: number): void {
  for (let i = start; i < end; i++) {
    const rowI = i * n;
    for (let j = start; j <= i; j++) {
      const rowJ = j * n;
      let sum = a[rowI + j]!;
      for (let k = start; k < j; k++) sum -= a[rowI + k]! * a[rowJ + k]!;
      if (i === j) a[rowI + i] = Math.sqrt(Math.max(sum, floor)); else a[rowI + j] = sum / a[rowJ + j]!;
    }
  }
}

/**
 * Cholesky factor L (lower) of a symmetric positive definite matrix, L Lᵀ = A, left-looking by blocks: large products by onnxruntime in float64.
 * @param a float64 [n, n]; only its lower triangle is read; overwritten by L in the lower triangle
 */
export async function choleskyInPlace(a: Float64Array, n: number): Promise<Float64Array> {
  let trace = 0;
  for (let i = 0; i < n; i++) trace += a[i * n + i]!;
  const floor = Math.max(1e-14 * (trace / n), Number.MIN_VALUE);
  for (let start = 0; start < n; start += blockSize) {
    const end = Math.min(n, start + blockSize), width = end - start;
    if (start > 0) {
      const left = submatrix(a, n, start, n, 0, start), top = left.subarray(0, width * start);
      const update = await productTransposed(left, top, n - start, start, width);
      for (let r = start; r < n; r++) for (let c = 0; c < width; c++) a[r * n + start + c]! -= update[(r - start) * width + c]!;
    }
    factorBlock(a, n, start, end, floor);
    for (let r = end; r < n; r++) { // panel below: X Lᵀ = A, row by row
      const row = r * n;
      for (let j = start; j < end; j++) {
        let sum = a[row + j]!;
        const rowJ = j * n;
        for (let k = start; k < j; k++) sum -= a[row + k]! * a[rowJ + k]!;
        a[row + j] = sum / a[rowJ + j]!;
      }
    }
  }
  return a;
}

/** Solves L z = b in place by blocks. @param b float64 [n, m] */
async function forwardInPlace(l: Float64Array, n: number, b: Float64Array, m: number): Promise<void> {
  for (let start = 0; start < n; start += blockSize) {
    const end = Math.min(n, start + blockSize);
    if (start > 0) {
      const update = await product(submatrix(l, n, start, end, 0, start), b.subarray(0, start * m), end - start, start, m);
      for (let i = 0, at = start * m; i < update.length; i++) b[at + i]! -= update[i]!;
    }
    for (let i = start; i < end; i++) {
      for (let k = start; k < i; k++) {
        const factor = l[i * n + k]!;
        if (factor !== 0) for (let c = 0; c < m; c++) b[i * m + c]! -= factor * b[k * m + c]!;
      }
      const inverse = 1 / l[i * n + i]!;
      for (let c = 0; c < m; c++) b[i * m + c]! *= inverse;
    }
  }
}

/** Solves Lᵀ w = z in place by blocks. @param b float64 [n, m] */
async function backwardInPlace(l: Float64Array, n: number, b: Float64Array, m: number): Promise<void> {
  for (let start = Math.floor((n - 1) / blockSize) * blockSize; start >= 0; start -= blockSize) {
    const end = Math.min(n, start + blockSize);
    if (end < n) {
      const update = await transposedProduct(submatrix(l, n, end, n, start, end), b.subarray(end * m), n - end, end - start, m);
      for (let i = 0, at = start * m; i < update.length; i++) b[at + i]! -= update[i]!;
    }
    for (let i = end - 1; i >= start; i--) {
      const inverse = 1 / l[i * n + i]!;
      for (let c = 0; c < m; c++) b[i * m + c]! *= inverse;
      for (let k = start; k < i; k++) {
        const factor = l[i * n + k]!;
        if (factor !== 0) for (let c = 0; c < m; c++) b[k * m + c]! -= factor * b[i * m + c]!;
      }
    }
  }
}

/** Solves A w = b with the Cholesky factor of A. @param b float64 [n, m], overwritten @returns b, holding w */
export async function solveWithFactor(factor: Float64Array, n: number, b: Float64Array, m: number): Promise<Float64Array> {
  await forwardInPlace(factor, n, b, m);
  await backwardInPlace(factor, n, b, m);
  return b;
}

/** The inverse of a symmetric positive definite matrix. @param a float64 [n, n], overwritten */
export async function inverseSpd(a: Float64Array, n: number): Promise<Float64Array> {
  const factor = await choleskyInPlace(a, n);
  const identity = new Float64Array(n * n);
  for (let i = 0; i < n; i++) identity[i * n + i] = 1;
  return solveWithFactor(factor, n, identity, n);
}
