import { DataType, floatToHalf, halfToFloat } from '../onnx/tensor.ts';
import type { Tensor, TypedArray } from './session.ts';

interface ElementType { readonly dataType: number; readonly kind: 'real' | 'integer' | 'truth'; readonly make: (length: number) => TypedArray }

/** Element types by onnxruntime's names: ONNX's number, and the arrays that hold them; float16 are bit patterns, and truths are bytes. */
const elementTypes: Readonly<Record<string, ElementType | undefined>> = {
  float32: { dataType: DataType.FLOAT, kind: 'real', make: (length) => new Float32Array(length) }, float64: { dataType: DataType.DOUBLE, kind: 'real', make: (length) => new Float64Array(length) },
  float16: { dataType: DataType.FLOAT16, kind: 'real', make: (length) => new Uint16Array(length) }, bool: { dataType: DataType.BOOL, kind: 'truth', make: (length) => new Uint8Array(length) },
  int8: { dataType: DataType.INT8, kind: 'integer', make: (length) => new Int8Array(length) }, uint8: { dataType: DataType.UINT8, kind: 'integer', make: (length) => new Uint8Array(length) },
  int16: { dataType: DataType.INT16, kind: 'integer', make: (length) => new Int16Array(length) }, uint16: { dataType: DataType.UINT16, kind: 'integer', make: (length) => new Uint16Array(length) },
  int32: { dataType: DataType.INT32, kind: 'integer', make: (length) => new Int32Array(length) }, uint32: { dataType: DataType.UINT32, kind: 'integer', make: (length) => new Uint32Array(length) },
  int64: { dataType: DataType.INT64, kind: 'integer', make: (length) => new BigInt64Array(length) }, uint64: { dataType: DataType.UINT64, kind: 'integer', make: (length) => new BigUint64Array(length) },
};
const nameOf = new Map(Object.entries(elementTypes).map(([name, { dataType } = { dataType: 0 }]) => [dataType, name]));

/** ONNX's number (TensorProto.DataType) of a type that onnxruntime names so. */
export const dataTypeOf = (name: string): number => elementTypes[name]?.dataType ?? DataType.FLOAT;
/** onnxruntime's name of an element type; undefined where no array holds it. */
export const typeName = (dataType: number): string | undefined => nameOf.get(dataType);
/** A new array for elements of a type. */
export const arrayFor = (type: string, length: number): TypedArray => elementTypes[type]!.make(length);

/**
 * The same numbers in another element type: a real number as the nearest of the type, an integer where it is one of the type.
 * @returns undefined where they are not to be had so: reals are no integers, nor integers reals, of which nobody knows the scale
 */
export function inType<T extends Pick<Tensor, 'type' | 'data'>>(numbers: T, type: string): T | undefined {
  const { type: own, data } = numbers, from = elementTypes[own], to = elementTypes[type];
  if (own === type) return numbers;
  if (!from || !to || from.kind !== to.kind) return undefined;
  const converted = from.kind === 'real' ? realsAs(type, reals(own, data)) : integersAs(type, data);
  return converted && { ...numbers, type, data: converted };
}

const reals = (type: string, data: TypedArray): Float32Array | Float64Array => (type === 'float16' ? halfToFloat(new Uint16Array(data.buffer, data.byteOffset, data.length), DataType.FLOAT16) : data as Float32Array | Float64Array); // Float16Array on newer Nodes
const realsAs = (type: string, values: Float32Array | Float64Array): TypedArray => (type === 'float64' ? Float64Array.from(values) : type === 'float32' ? Float32Array.from(values) : floatToHalf(Float32Array.from(values), DataType.FLOAT16));

function integersAs(type: string, data: TypedArray): TypedArray | undefined {
  const out = arrayFor(type, data.length), big = out instanceof BigInt64Array || out instanceof BigUint64Array;
  for (let i = 0; i < data.length; i++) {
    const value = BigInt(data[i]!);
    out[i] = big ? value : Number(value);
    if (BigInt(out[i]!) !== value) return undefined;
  }
  return out;
}
