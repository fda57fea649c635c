import { product, productTransposed, transposedProduct } from '../runtime/matrix.ts';

const blockSize = 128;

/** Columns [start, start + width) of a lower triangular factor L. */
interface BlockColumn<A> {
  readonly start: number;
  readonly width: number;
  /** L below the diagonal block, [n - start - width, width]. */
  readonly below: A;
  /** The inverse of the diagonal block, lower triangular, [width, width]: solving with it is a product. */
  readonly inverse: A;
}

const emptyLike = <A extends Float32Array | Float64Array>(a: A, length: number): A => (a instanceof Float32Array ? new Float32Array(length) : new Float64Array(length)) as A;

/** a -= b, element by element. */
function subtract<A extends Float32Array | Float64Array>(a: A, b: A): void { for (let i = 0; i < b.length; i++) a[i]! -= b[i]!; }

/** Rows [r0, r1) and columns [c0, c1) of a row-major matrix of `width` columns, as a contiguous copy. */
function submatrix<A extends Float32Array | Float64Array>(a: A, width: number, r0: number, r1: number, c0: number, c1: number): A {
  const out = emptyLike(a, (r1 - r0) * (c1 - c0));
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

/** The inverse of a lower triangular block on the diagonal of a. @returns float64 [end - start, end - start] */
function inverseOfBlock(a: Float64Array, n: number, start: number, end: number): Float64Array {
  const width = end - start, inverse = new Float64Array(width * width);
  for (let i = 0; i < width; i++) {
    const row = (start + i) * n + start, pivot = 1 / a[row + i]!;
    for (let k = 0; k < i; k++) {
      const factor = -a[row + k]! * pivot;
      if (factor !== 0) for (let j = 0; j <= k; j++) inverse[i * width + j]! += factor * inverse[k * width + j]!;
    }
    inverse[i * width + i] = pivot;
  }
  return inverse;
}

/**
 * Cholesky factor L (lower) of a symmetric positive definite matrix A, L Lᵀ = A, by blocks: large products by onnxruntime. Because a leading part of L is
 * the factor of that leading part of A, one factor solves the systems of all leading parts.
 */
export class CholeskyFactor<A extends Float32Array | Float64Array> {
  readonly n: number;
  private readonly blocks: readonly BlockColumn<A>[];

  private constructor(n: number, blocks: readonly BlockColumn<A>[]) {
    this.n = n;
    this.blocks = blocks;
  }

  /** @param a float64 [n, n]; only its lower triangle is read; overwritten */
  static of(a: Float64Array, n: number): Promise<CholeskyFactor<Float64Array>> { return CholeskyFactor.stored(a, n, (values) => values); }

  /** The same in half the memory, for systems whose solutions need no more than that. */
  static inFloat32(a: Float64Array, n: number): Promise<CholeskyFactor<Float32Array>> { return CholeskyFactor.stored(a, n, (values) => Float32Array.from(values)); }

  private static async stored<A extends Float32Array | Float64Array>(a: Float64Array, n: number, store: (values: Float64Array) => A): Promise<CholeskyFactor<A>> {
    let trace = 0;
    for (let i = 0; i < n; i++) trace += a[i * n + i]!;
    const floor = Math.max(1e-14 * (trace / n), Number.MIN_VALUE), inverses: Float64Array[] = [];
    for (let start = 0; start < n; start += blockSize) {
      const end = Math.min(n, start + blockSize), width = end - start;
      if (start > 0) {
        const left = submatrix(a, n, start, n, 0, start), top = left.subarray(0, width * start);
        const update = await productTransposed(left, top, n - start, start, width);
        for (let r = start; r < n; r++) for (let c = 0; c < width; c++) a[r * n + start + c]! -= update[(r - start) * width + c]!;
      }
      factorBlock(a, n, start, end, floor);
      const inverse = inverseOfBlock(a, n, start, end);
      inverses.push(inverse);
      if (end < n) { // panel below: X Lᵀ = A
        const panel = await productTransposed(submatrix(a, n, end, n, start, end), inverse, n - end, width, width);
        for (let r = end; r < n; r++) a.set(panel.subarray((r - end) * width, (r - end + 1) * width), r * n + start);
      }
    }
    return new CholeskyFactor(n, inverses.map((inverse, i) => {
      const start = i * blockSize, end = Math.min(n, start + blockSize);
      return { start, width: end - start, below: store(submatrix(a, n, end, n, start, end)), inverse: store(inverse) };
    }));
  }

  /** Blocks of the leading part of `size` rows and columns. */
  private leading(size: number): readonly BlockColumn<A>[] {
    return this.blocks.filter(({ start }) => start < size).map(({ start, width: whole, below, inverse }) => {
      const width = Math.min(whole, size - start);
      return { start, width, below: below.subarray(0, (size - start - width) * whole) as A, inverse: width === whole ? inverse : submatrix(inverse, whole, 0, width, 0, width) };
    });
  }

  /** Solves L z = b in place. @param b [n, m] */
  async forward(b: A, m: number): Promise<A> {
    for (const { start, width, below, inverse } of this.blocks) {
      const end = start + width, own = b.subarray(start * m, end * m) as A;
      own.set(await product(inverse, own, width, width, m));
      if (end < this.n) subtract(b.subarray(end * m) as A, await product(below, own, this.n - end, width, m));
    }
    return b;
  }

  /** Solves Lᵀ w = z in place for the leading `size` rows and columns of L. @param z [size, m] */
  async backward(z: A, m: number, size = this.n): Promise<A> {
    for (const { start, width, below, inverse } of [...this.leading(size)].reverse()) {
      const end = start + width, own = z.subarray(start * m, end * m) as A;
      if (end < size) subtract(own, await transposedProduct(below, z.subarray(end * m) as A, size - end, width, m));
      own.set(await transposedProduct(inverse, own, width, width, m));
    }
    return z;
  }

  /** Solves A w = b. @param b [n, m], overwritten @returns b, holding w */
  async solve(b: A, m: number): Promise<A> {
    return this.backward(await this.forward(b, m), m);
  }

  /** L⁻¹, lower triangular. @returns [n, n] */
  private async inverseOfFactor(like: A): Promise<A> {
    const { n } = this, out = emptyLike(like, n * n);
    for (const { start, width, inverse } of this.blocks) {
      const sum = emptyLike(like, width * start); // L left of the block x the rows of L⁻¹ above, of which each block is as wide as its own end
      for (const { start: k, width: deep, below } of this.blocks) {
        if (k >= start) break;
        const end = k + deep, left = below.subarray((start - end) * deep, (start - end + width) * deep) as A;
        const part = await product(left, submatrix(out, n, k, end, 0, end), width, deep, end);
        for (let r = 0; r < width; r++) for (let c = 0; c < end; c++) sum[r * start + c]! -= part[r * end + c]!;
      }
      const solved = start > 0 ? await product(inverse, sum, width, width, start) : sum;
      for (let r = 0; r < width; r++) {
        out.set(solved.subarray(r * start, (r + 1) * start), (start + r) * n);
        out.set(inverse.subarray(r * width, (r + 1) * width), (start + r) * n + start);
      }
    }
    return out;
  }

  /** A⁻¹ = L⁻ᵀ L⁻¹, a third of the work of solving for the identity. @returns [n, n] */
  async inverse(): Promise<A> {
    const { n, blocks } = this, like = blocks[0]!.inverse, half = await this.inverseOfFactor(like), out = emptyLike(like, n * n);
    for (const { start, width } of blocks) {
      const end = start + width, block = await transposedProduct(submatrix(half, n, start, n, 0, end), submatrix(half, n, start, n, start, end), n - start, end, width);
      for (let r = 0; r < end; r++) {
        for (let c = 0; c < width; c++) { out[r * n + start + c] = block[r * width + c]!; out[(start + c) * n + r] = block[r * width + c]!; }
      }
    }
    return out;
  }
}

/** The inverse of a symmetric positive definite matrix. @param a float64 [n, n], overwritten */
export async function inverseSpd(a: Float64Array, n: number): Promise<Float64Array> {
  return (await CholeskyFactor.of(a, n)).inverse();
}
