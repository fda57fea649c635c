import { create } from '@bufbuild/protobuf';
import { TensorProtoSchema, TensorProto_DataLocation, TensorProto_DataType as DataType, type TensorProto } from 'onnx-buf';
import { UnsupportedModelError } from '../errors.ts';

export { DataType };

/** Bytes an element of each ONNX tensor type takes in `raw_data`; types that are not listed (strings, packed 4-bit ones, newer ones) are refused by name. */
const elementBytes: Readonly<Record<number, number | undefined>> = {
  [DataType.FLOAT]: 4, [DataType.UINT8]: 1, [DataType.INT8]: 1, [DataType.UINT16]: 2, [DataType.INT16]: 2, [DataType.INT32]: 4, [DataType.INT64]: 8,
  [DataType.BOOL]: 1, [DataType.FLOAT16]: 2, [DataType.DOUBLE]: 8, [DataType.UINT32]: 4, [DataType.UINT64]: 8, [DataType.BFLOAT16]: 2,
  [DataType.COMPLEX64]: 8, [DataType.COMPLEX128]: 16,
  [DataType.FLOAT8E4M3FN]: 1, [DataType.FLOAT8E4M3FNUZ]: 1, [DataType.FLOAT8E5M2]: 1, [DataType.FLOAT8E5M2FNUZ]: 1,
};

const floatTypes = new Set<number>([DataType.FLOAT, DataType.DOUBLE, DataType.FLOAT16, DataType.BFLOAT16]);

export const isFloatType = (type: number): boolean => floatTypes.has(type);
/** Whether the tensor holds real numbers in a floating type that can be pruned and refitted. */
export const isFloatTensor = (tensor: TensorProto): boolean => isFloatType(tensor.dataType);

export const dimsOf = (tensor: TensorProto): number[] => tensor.dims.map(Number);

/** Number of elements; a product of dims that is negative or beyond 2^40 is refused before anything is allocated. */
export function elementCount(dims: readonly (number | bigint)[], name = 'tensor'): number {
  let count = 1;
  for (const dim of dims) {
    count *= Number(dim);
    if (!(dim >= 0) || count > 2 ** 40) throw new UnsupportedModelError(`Tensor "${name}" has impossible dimensions [${dims.join(', ')}].`);
  }
  return count;
}

export function bytesPerElement(tensor: TensorProto): number {
  const size = elementBytes[tensor.dataType];
  if (size === undefined) throw new UnsupportedModelError(`Tensor "${tensor.name}" has element type ${DataType[tensor.dataType] ?? tensor.dataType}, which is not supported.`);
  return size;
}

/**
 * The tensor's elements as little-endian bytes, as in `raw_data`, whichever field holds them. Not a copy where raw_data is used.
 * @throws {UnsupportedModelError} for strings, packed types, external data that was not loaded, or a byte count that does not fit dims
 */
export function rawBytes(tensor: TensorProto): Uint8Array {
  if (tensor.dataLocation === TensorProto_DataLocation.EXTERNAL) throw new UnsupportedModelError(`Tensor "${tensor.name}" has external data that was not loaded.`);
  const size = bytesPerElement(tensor);
  const count = elementCount(tensor.dims, tensor.name);
  const bytes = tensor.rawData.length > 0 || count === 0 ? tensor.rawData : typedFieldBytes(tensor, size, count);
  if (bytes.length !== count * size) {
    throw new UnsupportedModelError(`Tensor "${tensor.name}" should hold ${count * size} bytes for dimensions [${tensor.dims.join(', ')}] but holds ${bytes.length}.`);
  }
  return bytes;
}

/** Elements kept in float_data, int32_data, int64_data, double_data or uint64_data (ONNX TensorProto), as raw bytes. */
function typedFieldBytes(tensor: TensorProto, size: number, count: number): Uint8Array {
  const view = (values: ArrayBufferView): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  switch (tensor.dataType) {
    case DataType.FLOAT: case DataType.COMPLEX64: return view(Float32Array.from(tensor.floatData));
    case DataType.DOUBLE: case DataType.COMPLEX128: return view(Float64Array.from(tensor.doubleData));
    case DataType.INT64: return view(BigInt64Array.from(tensor.int64Data));
    case DataType.UINT64: case DataType.UINT32: {
      const wide = BigUint64Array.from(tensor.uint64Data);
      return size === 8 ? view(wide) : view(Uint32Array.from(wide, Number));
    }
    default: { // int32_data holds every narrower type, float16 bit patterns included
      if (tensor.int32Data.length !== count) return new Uint8Array(0);
      const narrow = size === 4 ? new Int32Array(count) : size === 2 ? new Uint16Array(count) : new Uint8Array(count);
      tensor.int32Data.forEach((value, i) => { narrow[i] = value; });
      return view(narrow);
    }
  }
}

/** Copies bytes to a fresh, aligned buffer when they are not aligned for `size`-byte elements. */
function aligned(bytes: Uint8Array, size: number): Uint8Array {
  return bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes); // Buffer.slice would not copy
}

/** bfloat16 and float16 bit patterns to float32 (IEEE 754-2008 binary16; bfloat16 is the upper half of a float32). */
export function halfToFloat(bits: Uint16Array, type: number): Float32Array {
  const words = new Uint32Array(bits.length);
  if (type === DataType.BFLOAT16) { for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16; return new Float32Array(words.buffer); }
  const out = new Float32Array(words.buffer);
  for (let i = 0; i < bits.length; i++) {
    const half = bits[i]!;
    const sign = (half & 0x8000) << 16, exponent = (half >>> 10) & 31, mantissa = half & 0x3ff;
    if (exponent === 0) out[i] = (sign ? -1 : 1) * mantissa * 2 ** -24;
    else words[i] = sign | (exponent === 31 ? 0x7f800000 : (exponent + 112) << 23) | (mantissa << 13);
  }
  return out;
}

/** float32 to float16 or bfloat16 bit patterns, rounding to nearest even. */
export function floatToHalf(values: Float32Array, type: number): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const word = words[i]!;
    if (type === DataType.BFLOAT16) {
      out[i] = Number.isNaN(values[i]!) ? 0x7fc0 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
      continue;
    }
    const sign = (word >>> 16) & 0x8000, magnitude = Math.abs(values[i]!);
    if (Number.isNaN(magnitude)) out[i] = 0x7e00;
    else if (magnitude >= 65520) out[i] = sign | 0x7c00;
    else if (magnitude < 2 ** -14) { // subnormal: a multiple of 2^-24, rounded to even
      const scaled = magnitude * 2 ** 24, floor = Math.floor(scaled), rest = scaled - floor;
      out[i] = sign | (floor + (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? 1 : 0));
    } else {
      const rounded = (word & 0x7fffffff) + 0xfff + ((word >>> 13) & 1);
      out[i] = sign | ((rounded >>> 13) - (112 << 10));
    }
  }
  return out;
}

/** The tensor's values as float32; a view where the type and the alignment allow it, so not to be written to. */
export function floatsOf(tensor: TensorProto): Float32Array {
  const size = bytesPerElement(tensor);
  const bytes = aligned(rawBytes(tensor), size);
  switch (tensor.dataType) {
    case DataType.FLOAT: return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    case DataType.DOUBLE: return Float32Array.from(new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8));
    case DataType.FLOAT16: case DataType.BFLOAT16: return halfToFloat(new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2), tensor.dataType);
    default: throw new UnsupportedModelError(`Tensor "${tensor.name}" of type ${DataType[tensor.dataType]} is not a floating-point tensor.`);
  }
}

/** How many values of a floating-point tensor are not zero. */
export const nonZeroCount = (tensor: TensorProto): number => floatsOf(tensor).reduce((sum, value) => sum + Number(value !== 0), 0);

/** The tensor's values as integers (any integer type or bool). */
export function intsOf(tensor: TensorProto): number[] {
  const bytes = aligned(rawBytes(tensor), bytesPerElement(tensor));
  const { buffer, byteOffset, length } = bytes;
  switch (tensor.dataType) {
    case DataType.INT64: return Array.from(new BigInt64Array(buffer, byteOffset, length / 8), Number);
    case DataType.UINT64: return Array.from(new BigUint64Array(buffer, byteOffset, length / 8), Number);
    case DataType.INT32: return Array.from(new Int32Array(buffer, byteOffset, length / 4));
    case DataType.UINT32: return Array.from(new Uint32Array(buffer, byteOffset, length / 4));
    case DataType.INT16: return Array.from(new Int16Array(buffer, byteOffset, length / 2));
    case DataType.UINT16: return Array.from(new Uint16Array(buffer, byteOffset, length / 2));
    case DataType.INT8: return Array.from(new Int8Array(buffer, byteOffset, length));
    case DataType.UINT8: case DataType.BOOL: return Array.from(bytes);
    default: throw new UnsupportedModelError(`Tensor "${tensor.name}" of type ${DataType[tensor.dataType]} is not an integer tensor.`);
  }
}

const bytesView = (values: ArrayBufferView): Uint8Array<ArrayBuffer> => new Uint8Array(values.buffer as ArrayBuffer, values.byteOffset, values.byteLength);

/** A new tensor of the same name with other dims and raw bytes; everything else (doc string, metadata, unknown fields) stays. */
export function withBytes(tensor: TensorProto, dims: readonly number[], bytes: Uint8Array): TensorProto {
  return create(TensorProtoSchema, {
    name: tensor.name, docString: tensor.docString, metadataProps: tensor.metadataProps, dataType: tensor.dataType,
    dims: dims.map(BigInt), rawData: bytes as Uint8Array<ArrayBuffer>, ...(tensor.$unknown ? { $unknown: tensor.$unknown } : {}),
  });
}

/** A new tensor of the same name and floating type with other values. @param values float32 of the product of dims */
export function withFloats(tensor: TensorProto, dims: readonly number[], values: Float32Array): TensorProto {
  switch (tensor.dataType) {
    case DataType.FLOAT: return withBytes(tensor, dims, bytesView(values));
    case DataType.DOUBLE: return withBytes(tensor, dims, bytesView(Float64Array.from(values)));
    case DataType.FLOAT16: case DataType.BFLOAT16: return withBytes(tensor, dims, bytesView(floatToHalf(values, tensor.dataType)));
    default: throw new UnsupportedModelError(`Tensor "${tensor.name}" of type ${DataType[tensor.dataType]} can't hold real numbers.`);
  }
}

export const floatTensor = (name: string, dims: readonly number[], values: Float32Array): TensorProto =>
  create(TensorProtoSchema, { name, dataType: DataType.FLOAT, dims: dims.map(BigInt), rawData: bytesView(values) });

/** The nearest int64: exporters write "to the end" as 2^63 - 1, which is 2^63 when read as a number. */
export const toInt64 = (value: number): bigint => (value >= 2 ** 63 ? 2n ** 63n - 1n : value <= -(2 ** 63) ? -(2n ** 63n) : BigInt(value));

export const int64Tensor = (name: string, dims: readonly number[], values: readonly number[]): TensorProto =>
  create(TensorProtoSchema, { name, dataType: DataType.INT64, dims: dims.map(BigInt), rawData: bytesView(BigInt64Array.from(values, toInt64)) });
