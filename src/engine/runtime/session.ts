import * as ort from 'onnxruntime-node';
import type { GraphProto, ModelProto } from 'onnx-buf';
import { InputError, messageOf } from '../errors.ts';
import { splitModel } from '../onnx/modelFile.ts';

// onnxruntime 1.30 gathers usage data unless told not to: a device number and a queue of events in the user's cache folder, logs in the temporary
// folder, and an address of Microsoft's to send them to. It reads this when the first session is made.
process.env['ORT_DISABLE_TELEMETRY'] = '1';

export type TypedArray = Float32Array | Float64Array | Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array | BigInt64Array | BigUint64Array;

/** A dense tensor as onnxruntime takes and gives it; `type` is onnxruntime's name of the element type (float16 data are Uint16Array bit patterns). */
export interface Tensor<T extends TypedArray = TypedArray> { readonly type: string; readonly dims: readonly number[]; readonly data: T }

export const floats = (data: Float32Array, dims: readonly number[]): Tensor<Float32Array> => ({ type: 'float32', dims, data });
export const doubles = (data: Float64Array, dims: readonly number[]): Tensor<Float64Array> => ({ type: 'float64', dims, data });

export interface SessionOptions {
  /** Threads inside one operator; 0 lets onnxruntime choose (one a physical core). Default 0. */
  readonly threads?: number;
  /** onnxruntime's graph optimisation level. Default 'all'; 'disabled' keeps every value of the graph as it is written. */
  readonly optimization?: 'disabled' | 'basic' | 'extended' | 'all';
}

const toOrt = ({ type, data, dims }: Tensor): ort.Tensor => {
  // float16 crosses as raw bits: newer Nodes have Float16Array, which onnxruntime then asks for
  const half = (globalThis as { Float16Array?: new (buffer: ArrayBufferLike, offset: number, length: number) => ArrayLike<number> }).Float16Array;
  const value = type === 'float16' && half && data instanceof Uint16Array ? new half(data.buffer, data.byteOffset, data.length) : data;
  return new ort.Tensor(type as ort.Tensor.Type, value as ort.Tensor.DataType, dims);
};
const fromOrt = (tensor: ort.OnnxValue): Tensor => {
  const { type, dims, data } = tensor as ort.Tensor;
  return { type, dims, data: data as unknown as TypedArray };
};

/** A model's bytes and options as onnxruntime's `InferenceSession.create` takes them; plain data, which can be posted to a thread. */
export function sessionArguments(source: (ModelProto & { graph: GraphProto }) | Uint8Array, { threads = 0, optimization = 'all' }: SessionOptions): [Uint8Array, ort.InferenceSession.SessionOptions] {
  const options: ort.InferenceSession.SessionOptions = {
    graphOptimizationLevel: optimization, logSeverityLevel: 4, executionMode: 'sequential', ...(threads > 0 ? { intraOpNumThreads: threads } : {}),
    extra: { session: { intra_op: { allow_spinning: '0' } } }, // waiting threads sleep: other programs keep their cores, and small operators lose nothing measurable
  };
  if (source instanceof Uint8Array) return [source, options];
  const split = splitModel(source, 'weights'), bytes = Buffer.concat(split.bytes);
  if (split.external.length === 0) return [bytes, options];
  const weights = new Uint8Array(split.externalBytes);
  for (const { offset, bytes: piece } of split.external) weights.set(piece, offset);
  return [bytes, { ...options, externalData: [{ path: 'weights', data: weights }] }];
}

/** How messages begin that tell of a model that onnxruntime refuses, whatever its inputs. */
export const loadFailure = "onnxruntime can't load the model";
/** How messages begin that tell of inputs that a model cannot take. */
export const runFailure = "onnxruntime can't run the model";
/** Version of onnxruntime. */
export const runtimeVersion = ort.env.versions.node ?? ort.env.versions.common;

/** One loaded model: the only door to onnxruntime. `run` is native and synchronous on its thread, so it can be cancelled only between runs. */
export class Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /** Element types of the inputs that are tensors, by name. */
  readonly inputTypes: Readonly<Record<string, string>>;
  private readonly session: ort.InferenceSession;

  private constructor(session: ort.InferenceSession) {
    this.session = session;
    this.inputNames = session.inputNames;
    this.outputNames = session.outputNames;
    this.inputTypes = Object.fromEntries(session.inputMetadata.flatMap((input) => (input.isTensor ? [[input.name, input.type]] : [])));
  }

  /**
   * Loads a model from memory; large weights are handed over as buffers, so nothing is re-encoded and no file is opened.
   * @param source a decoded model with all weights loaded, or its bytes (without external data)
   * @throws {InputError} with onnxruntime's message when it refuses the model
   */
  static async create(source: (ModelProto & { graph: GraphProto }) | Uint8Array, options: SessionOptions = {}): Promise<Session> {
    try {
      return new Session(await ort.InferenceSession.create(...sessionArguments(source, options)));
    } catch (error) {
      throw new InputError(`${loadFailure}: ${messageOf(error)}`, { cause: error });
    }
  }

  /**
   * Runs the model.
   * @param outputs names of the outputs wanted (all by default), or tensors to write them into, by name: no copy is made then, and no
   * such tensor may share memory with a feed
   * @throws {InputError} with onnxruntime's message
   */
  async run(feeds: Readonly<Record<string, Tensor>>, outputs: readonly string[] | Readonly<Record<string, Tensor>> = this.outputNames): Promise<Record<string, Tensor>> {
    const fetches = Array.isArray(outputs) ? outputs as string[] : Object.fromEntries(Object.entries(outputs as Record<string, Tensor>).map(([name, tensor]) => [name, toOrt(tensor)]));
    try {
      const result = await this.session.run(Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, toOrt(tensor)])), fetches);
      return Object.fromEntries(Object.entries(result).map(([name, value]) => [name, fromOrt(value)]));
    } catch (error) {
      throw new InputError(`${runFailure}: ${messageOf(error)}`, { cause: error });
    }
  }

  async release(): Promise<void> { await this.session.release(); }
}
