import { randomBytes } from 'node:crypto';
import { type FileHandle, lstat, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { GraphProtoSchema, type GraphProto, ModelProtoSchema, type ModelProto, TensorProtoSchema, type TensorProto, TensorProto_DataType as DataType } from 'onnx-buf';
import { InputError, UnsupportedModelError, UserError, messageOf } from '../errors.ts';
import { tensorConstants } from './constantNodes.ts';
import { copyOf } from './copyOf.ts';
import { inlineFunctions } from './inlineFunctions.ts';
import { asExternal, loadExternalData } from './externalData.ts';
import { rearrangeWeights } from './rearrangedWeights.ts';
import { weightsAsInitializers } from './weightsAsInitializers.ts';

/** Protobuf messages end at 2 GiB; weights beyond this many bytes are written as external data. */
const inlineLimitBytes = 1.8e9;

/** A decoded model with a graph, all its weights in memory (views of the file's bytes), and where it came from. */
export interface OnnxModel {
  readonly path: string;
  readonly proto: ModelProto & { graph: GraphProto };
  /** Whether its weights stood in files beside it. */
  readonly hadExternalData: boolean;
  /** Bytes of the file and of the weights beside it. */
  readonly sizeBytes: number;
}

/**
 * Decodes ONNX bytes (IR version 3 or newer). Weights are views of `bytes`.
 * @throws {InputError} when the bytes are not an ONNX model
 */
export function decodeModel(bytes: Uint8Array, name: string): ModelProto & { graph: GraphProto } {
  let proto: ModelProto;
  try {
    proto = fromBinary(ModelProtoSchema, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)); // a plain view of what may be a Buffer
  } catch (error) {
    throw new InputError(`${name} is not an ONNX model, or is cut short (${messageOf(error)}).`, { cause: error });
  }
  if (!proto.graph || (proto.irVersion === 0n && proto.opsetImport.length === 0)) throw new InputError(`${name} is not an ONNX model: it has no graph.`);
  if (proto.graph.node.length === 0 && proto.graph.output.length === 0) throw new InputError(`${name} holds an empty graph.`);
  return proto as ModelProto & { graph: GraphProto };
}

/** A model file's bytes. Pipes and devices, which may never end and can't be read again, are refused. @throws {InputError} says why it can't be read */
export async function readModelFile(path: string): Promise<Buffer> {
  try {
    const info = await stat(path);
    if (!info.isFile()) throw new Error(info.isDirectory() ? 'it is a folder' : 'it is neither a file nor a folder');
    return await readFile(path);
  } catch (error) {
    throw new InputError(`Can't read the model ${path}: ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : messageOf(error)}.`, { cause: error });
  }
}

/** Reads a model and all its external data; calls of functions that the model defines are spelled out, and weights are initializers as layers read them, in whichever form the file has them. @throws {InputError} names the file */
export async function loadModel(path: string): Promise<OnnxModel> {
  const bytes = await readModelFile(path);
  const proto = tensorConstants(inlineFunctions(decodeModel(bytes, path)));
  const externalBytes = await loadExternalData(proto, path);
  weightsAsInitializers(proto);
  rearrangeWeights(proto.graph);
  return { path, proto, hadExternalData: externalBytes > 0, sizeBytes: bytes.length + externalBytes };
}

/** The version of the default ONNX operator set that the model imports. */
export function opsetOf(model: ModelProto): number {
  const entry = model.opsetImport.find(({ domain }) => domain === '' || domain === 'ai.onnx');
  if (!entry) throw new UnsupportedModelError('The model imports no version of the ONNX operator set.');
  return Number(entry.version);
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) { bytes.push(rest); return bytes; }
    bytes.push((rest % 128) | 128);
  }
}
/** Tag and length of a length-delimited protobuf field. */
const header = (field: number, length: number): Uint8Array => Uint8Array.from([...varint(field * 8 + 2), ...varint(length)]);
const lengthOf = (chunks: readonly Uint8Array[]): number => chunks.reduce((sum, chunk) => sum + chunk.length, 0);
/** The same message without one field. */
function without<T extends object>(message: T, field: keyof T): T {
  const copy = copyOf(message, {});
  Reflect.deleteProperty(copy, field);
  return copy;
}

function encodeTensor(tensor: TensorProto): Uint8Array[] {
  const raw = Object.hasOwn(tensor, 'rawData') ? tensor.rawData : undefined;
  if (!raw || raw.length < 1024) return [toBinary(TensorProtoSchema, tensor)];
  return [toBinary(TensorProtoSchema, without(tensor, 'rawData')), header(9, raw.length), raw];
}

/**
 * A model as protobuf bytes, in pieces: the raw data of large initializers are the very buffers of the model, never copied.
 * Fields of a message may stand in any order, so initializers follow the rest of the graph.
 */
export function encodeModel(proto: ModelProto & { graph: GraphProto }): Uint8Array[] {
  const { graph } = proto;
  const initializers = graph.initializer.flatMap((tensor) => {
    const chunks = encodeTensor(tensor);
    return [header(5, lengthOf(chunks)), ...chunks];
  });
  const graphChunks = [toBinary(GraphProtoSchema, copyOf(graph, { initializer: [] })), ...initializers];
  const model = toBinary(ModelProtoSchema, without(proto, 'graph') as ModelProto);
  return [model, header(7, lengthOf(graphChunks)), ...graphChunks];
}

/** Bytes of the file that {@link saveModel} writes, with what stands beside it. */
export const fileBytes = (proto: ModelProto & { graph: GraphProto }): number => lengthOf(encodeModel(proto));

/** A model whose large initializers stand outside: small protobuf bytes, and one buffer a tensor at the stated offsets. */
export interface SplitModel {
  readonly bytes: Uint8Array[];
  readonly external: { readonly offset: number; readonly bytes: Uint8Array }[];
  readonly externalBytes: number;
}

/** Splits off the raw data of every initializer of at least `threshold` bytes, at offsets that are multiples of 64. */
export function splitModel(proto: ModelProto & { graph: GraphProto }, location: string, threshold = 1024): SplitModel {
  const external: SplitModel['external'] = [];
  let end = 0;
  const initializer = proto.graph.initializer.map((tensor) => {
    // shapes, sizes and axes stay inside: onnxruntime's shape inference reads them there
    const isShape = tensor.dataType === DataType.INT64 && tensor.dims.length <= 1;
    if (!Object.hasOwn(tensor, 'rawData') || tensor.rawData.length < threshold || isShape) return tensor;
    const offset = Math.ceil(end / 64) * 64;
    external.push({ offset, bytes: tensor.rawData });
    end = offset + tensor.rawData.length;
    return asExternal(tensor, location, offset, tensor.rawData.length);
  });
  const graph = copyOf(proto.graph, { initializer });
  return { bytes: encodeModel({ ...without(proto, 'graph'), graph } as ModelProto & { graph: GraphProto }), external, externalBytes: end };
}

/** Writes pieces to a file under a temporary name in the same folder, flushes them to disk and renames: readers see all or nothing. */
export async function writeAtomically(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const temporary = join(dirname(path), `.auto-compress-${process.pid}-${randomBytes(4).toString('hex')}.tmp`); // not made of the file's name, which may be as long as names can be
  try {
    const file = await open(temporary, 'wx');
    try { await write(file); await file.sync(); } finally { await file.close(); }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    if (error instanceof UserError) throw error;
    throw new InputError(`Can't write ${path}: ${messageOf(error)}.`, { cause: error });
  }
}

async function writeAll(file: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < chunk.length;) {
    const { bytesWritten } = await file.write(chunk, at, Math.min(chunk.length - at, 2 ** 30), position + at);
    at += bytesWritten;
  }
}

/**
 * Writes a model, atomically. Weights go into the file itself, or to `NAME.data` beside it when they exceed protobuf's 2 GiB or when asked.
 * @throws {InputError} when the file can't be written
 */
export async function saveModel(proto: ModelProto & { graph: GraphProto }, path: string, options: { externalData?: boolean } = {}): Promise<void> {
  const weightBytes = proto.graph.initializer.reduce((sum, tensor) => sum + tensor.rawData.length, 0);
  let chunks: Uint8Array[];
  if (options.externalData ?? weightBytes > inlineLimitBytes) {
    const location = `${basename(path)}.data`, target = join(dirname(path), location);
    if ((await lstat(target).catch(() => undefined))?.isSymbolicLink()) throw new InputError(`Can't write ${target}: it is a symbolic link.`);
    const split = splitModel(proto, location);
    await writeAtomically(target, async (file) => { for (const { offset, bytes } of split.external) await writeAll(file, bytes, offset); });
    chunks = split.bytes;
  } else chunks = encodeModel(proto);
  await writeAtomically(path, async (file) => {
    let position = 0;
    for (const chunk of chunks) { await writeAll(file, chunk, position); position += chunk.length; }
  });
}
