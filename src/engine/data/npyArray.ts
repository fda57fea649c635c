import { InputError } from '../errors.ts';
import { type ByteSource, inflateLimitBytes, readBytes } from './byteSource.ts';
import { checkIndices, type ElementArray, type ElementType } from './dataset.ts';

const types: Readonly<Record<string, ElementType | undefined>> = {
  b1: 'bool', u1: 'uint8', i1: 'int8', u2: 'uint16', i2: 'int16', u4: 'uint32', i4: 'int32', u8: 'uint64', i8: 'int64', f2: 'float16', f4: 'float32', f8: 'float64',
};
const views: Readonly<Record<ElementType, new (buffer: ArrayBuffer) => ElementArray>> = {
  bool: Uint8Array, uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, int16: Int16Array, uint32: Uint32Array, int32: Int32Array,
  uint64: BigUint64Array, int64: BigInt64Array, float16: Uint16Array, float32: Float32Array, float64: Float64Array,
};

/** An array whose first axis runs over samples, read by rows. `dims` are those of one row. */
export interface RowArray {
  readonly name: string;
  readonly type: ElementType;
  readonly count: number;
  readonly dims: readonly number[];
  /** @returns the rows, one after another, in the machine's byte order */
  read(indices: readonly number[]): Promise<ElementArray>;
}

/** Rows of a C-ordered array that starts at `start` of a source; runs of neighbouring rows are read at once. */
export function rowArray(source: ByteSource, start: number, name: string, type: ElementType, shape: readonly number[], bigEndian = false): RowArray {
  const [count = 0, ...dims] = shape;
  const elementBytes = views[type].prototype.BYTES_PER_ELEMENT as number;
  const rowBytes = elementBytes * dims.reduce((a, b) => a * b, 1);
  return {
    name, type, count, dims,
    read: async (indices) => {
      checkIndices(indices, count);
      const bytes = allocated(indices.length * rowBytes, `${indices.length} samples of ${name}`);
      for (let from = 0, to = 1; from < indices.length; from = to++) {
        while (to < indices.length && indices[to] === indices[to - 1]! + 1) to++;
        await source.readInto(bytes.subarray(from * rowBytes, to * rowBytes), start + indices[from]! * rowBytes);
      }
      if (bigEndian && elementBytes > 1) swapBytes(bytes, elementBytes);
      return new views[type](bytes.buffer);
    },
  };
}

function allocated(bytes: number, what: string): Uint8Array<ArrayBuffer> {
  try { return new Uint8Array(bytes); } catch (error) { throw new InputError(`${what} do not fit in memory (${(bytes / 2 ** 30).toFixed(1)} GB). Use fewer or smaller ones.`, { cause: error }); }
}

function swapBytes(bytes: Uint8Array, size: number): void {
  for (let at = 0; at < bytes.length; at += size) bytes.subarray(at, at + size).reverse();
}

interface NpyHeader { readonly start: number; readonly type: ElementType; readonly bigEndian: boolean; readonly fortran: boolean; readonly shape: readonly number[] }

/** The header of an .npy array, versions 1 to 3 (NEP 1). Arrays of Python objects are refused: reading them would run code. */
async function readHeader(source: ByteSource, name: string): Promise<NpyHeader> {
  const prefix = await readBytes(source, 0, 12);
  if (prefix.length < 10 || Buffer.from(prefix.subarray(0, 6)).toString('latin1') !== '\x93NUMPY') throw new InputError(`${name} is not a NumPy .npy array.`);
  const version = prefix[6]!;
  if (version < 1 || version > 3) throw new InputError(`${name} is of .npy version ${version}; versions 1 to 3 can be read.`);
  const view = new DataView(prefix.buffer);
  const lengthBytes = version === 1 ? 2 : 4;
  const length = prefix.length < 8 + lengthBytes ? 0 : version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > 65_536) throw new InputError(`${name} has a header of ${length} bytes, which is no .npy header.`);
  const start = 8 + lengthBytes + length;
  const text = new TextDecoder().decode(await readBytes(source, 8 + lengthBytes, length));
  const descr = /'descr'\s*:\s*'([^']*)'/.exec(text)?.[1];
  const fortran = /'fortran_order'\s*:\s*(True|False)/.exec(text)?.[1];
  const dims = /'shape'\s*:\s*\(([\d\sL,]*)\)/.exec(text)?.[1];
  if (fortran === undefined || dims === undefined || (descr === undefined && !text.includes('descr'))) throw new InputError(`${name} has a damaged .npy header.`);
  if (descr?.endsWith('O')) throw new InputError(`${name} holds Python objects, which are never loaded. Save it as a numeric array.`);
  const [, order = '', code = ''] = /^([<>|=]?)([a-z]\d+)$/.exec(descr ?? '') ?? [];
  const type = types[code];
  if (!type) throw new InputError(`${name} has the element type ${descr ?? 'of a record'}; booleans, integers and floating-point numbers can be read.`);
  const shape = dims.split(',').map((dim) => dim.replace('L', '').trim()).filter((dim) => dim !== '').map(Number);
  return { start, type, bigEndian: order === '>', fortran: fortran === 'True', shape };
}

/** Element (i, j, ...) of a Fortran-ordered array stands at i + rows * (j + ...); this gives it in C order. */
function toRowMajor(bytes: Uint8Array, shape: readonly number[], elementBytes: number): Uint8Array {
  const out = new Uint8Array(bytes.length);
  const strides: number[] = [];
  let stride = 1;
  for (const dim of shape) { strides.push(stride); stride *= dim; }
  const position = shape.map(() => 0);
  for (let to = 0, from = 0; to < bytes.length; to += elementBytes) {
    for (let b = 0; b < elementBytes; b++) out[to + b] = bytes[from * elementBytes + b]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      if (++position[axis]! < shape[axis]!) break;
      from -= strides[axis]! * shape[axis]!;
      position[axis] = 0;
    }
  }
  return out;
}

/** Opens an .npy array. C-ordered ones are read row by row where they stand; Fortran-ordered ones are rearranged in memory once. */
export async function openNpy(source: ByteSource, name: string): Promise<RowArray> {
  const { start, type, bigEndian, fortran, shape } = await readHeader(source, name);
  if (shape.length === 0) throw new InputError(`${name} holds a single number, not an array of samples.`);
  const elementBytes = views[type].prototype.BYTES_PER_ELEMENT as number;
  const wanted = shape.reduce((a, b) => a * b, elementBytes);
  if (!Number.isSafeInteger(wanted) || wanted > source.size - start) {
    throw new InputError(`${name} declares the shape (${shape.join(', ')}) of ${type}, ${wanted} bytes, but has ${Math.max(0, source.size - start)}: it is cut short or damaged.`);
  }
  if (shape.includes(0)) throw new InputError(`${name} is empty: its shape is (${shape.join(', ')}).`);
  if (!fortran || shape.length === 1 || wanted === 0) return rowArray(source, start, name, type, shape, bigEndian);
  if (wanted > inflateLimitBytes) throw new InputError(`${name} is Fortran-ordered and too large to rearrange in memory. Save it with numpy.ascontiguousarray.`);
  const bytes = toRowMajor(await readBytes(source, start, wanted), shape, elementBytes);
  const inMemory: ByteSource = { ...source, size: wanted, readInto: (target, offset) => { target.set(bytes.subarray(offset, offset + target.length)); return Promise.resolve(); } };
  return rowArray(inMemory, 0, name, type, shape, bigEndian);
}
