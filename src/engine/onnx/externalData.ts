import { constants, type FileHandle, open, realpath, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, sep } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { type GraphProto, type ModelProto, type TensorProto, StringStringEntryProtoSchema, TensorProto_DataLocation as Location } from 'onnx-buf';
import { InputError, messageOf } from '../errors.ts';
import { copyOf } from './copyOf.ts';
import { bytesPerElement, elementCount } from './tensor.ts';

/** All tensors of a model that may hold bulk data: initializers and tensor attributes, subgraphs included. */
export function* tensorsOf(graph: GraphProto): Generator<TensorProto> {
  yield* graph.initializer;
  for (const node of graph.node) {
    for (const attribute of node.attribute) {
      if (attribute.t) yield attribute.t;
      yield* attribute.tensors;
      if (attribute.g) yield* tensorsOf(attribute.g);
      for (const inner of attribute.graphs) yield* tensorsOf(inner);
    }
  }
}

const entry = (tensor: TensorProto, key: string): string | undefined => tensor.externalData.find((pair) => pair.key === key)?.value;

/**
 * Opens an external data file that must be a regular file, with one name, inside the model's folder: no absolute path, no '..',
 * no symbolic or hard link (CVE-2022-25882, CVE-2024-27318, CVE-2025-51480, CVE-2026-27489).
 */
async function openInside(folder: string, location: string, tensor: string): Promise<FileHandle> {
  const refuse = (why: string): never => { throw new InputError(`External data of tensor "${tensor}" points to "${location}", which ${why}. Keep the data file beside the model.`); };
  if (location === '' || location.includes('\0')) refuse('is not a file name');
  if (isAbsolute(location) || /^[a-zA-Z]:|^\\/.test(location) || location.split(/[\\/]/).includes('..')) refuse("leads outside the model's folder");
  const path = join(folder, location);
  let handle: FileHandle;
  try {
    const [realFolder, realFile] = await Promise.all([realpath(folder), realpath(path)]);
    if (realFile !== join(realFolder, location) && !realFile.startsWith(realFolder + sep)) refuse("leads outside the model's folder");
    if (!(await stat(path)).isFile()) refuse('is not a regular file');
    handle = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
  } catch (error) {
    if (error instanceof InputError) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    return refuse(code === 'ENOENT' ? 'does not exist' : code === 'ELOOP' ? 'is a symbolic link' : `can't be read (${messageOf(error)})`);
  }
  const info = await handle.stat();
  if (!info.isFile() || info.nlink > 1) { await handle.close(); refuse(info.isFile() ? 'has further hard links' : 'is not a regular file'); }
  return handle;
}

/**
 * Reads all external data of a model into raw_data; tensors that share a region share its bytes.
 * @returns how many bytes; 0 where the model has none
 * @throws {InputError} names the tensor and the file when it leads outside the folder, is missing, or is too short
 */
export async function loadExternalData(model: ModelProto, modelPath: string): Promise<number> {
  let bytes = 0;
  for (const [location, tensors] of byLocation(model)) bytes += await loadFile(dirname(modelPath), location, tensors);
  return bytes;
}

/** The tensors of a model whose data stand in other files, by the file's name. */
function byLocation(model: ModelProto): Map<string, TensorProto[]> {
  const found = new Map<string, TensorProto[]>();
  for (const tensor of model.graph ? tensorsOf(model.graph) : []) {
    if (tensor.dataLocation !== Location.EXTERNAL) continue;
    const location = entry(tensor, 'location') ?? '';
    found.set(location, [...(found.get(location) ?? []), tensor]);
  }
  return found;
}

/** The files beside a model that hold its data, in the order of their names, opened one after the other. @throws {InputError} as loadExternalData */
export async function* externalFiles(model: ModelProto, modelPath: string): AsyncGenerator<{ readonly path: string; readonly file: FileHandle }> {
  for (const [location, tensors] of [...byLocation(model)].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const file = await openInside(dirname(modelPath), location, tensors[0]!.name);
    try { yield { path: join(dirname(modelPath), location), file }; } finally { await file.close(); }
  }
}

/** @returns bytes of the tensors, each region once */
async function loadFile(folder: string, location: string, tensors: readonly TensorProto[]): Promise<number> {
  const handle = await openInside(folder, location, tensors[0]!.name);
  try {
    const { size } = await handle.stat(), regions = new Map<string, { readonly offset: number; readonly length: number; readonly tensors: TensorProto[] }>();
    for (const tensor of tensors) {
      const wanted = elementCount(tensor.dims, tensor.name) * bytesPerElement(tensor);
      const offset = Number(entry(tensor, 'offset') ?? 0), length = Number(entry(tensor, 'length') ?? wanted);
      if (!Number.isSafeInteger(offset) || offset < 0 || length !== wanted || offset + length > size) {
        throw new InputError(`External data of tensor "${tensor.name}" in "${location}" should be ${wanted} bytes at ${offset}, but the model says ${entry(tensor, 'length') ?? 'nothing'} and the file has ${size} bytes.`);
      }
      const key = `${offset} ${length}`, region = regions.get(key);
      if (region) region.tensors.push(tensor); else regions.set(key, { offset, length, tensors: [tensor] });
    }
    const bytes = [...regions.values()].reduce((sum, { length }) => sum + length, 0);
    if (bytes > size) throw new InputError(`External data file "${location}" has ${size} bytes, but its tensors overlap and would take ${bytes}.`);
    for (const { offset, length, tensors: sharing } of regions.values()) {
      const rawData = await readRegion(handle, offset, length, location);
      for (const tensor of sharing) Object.assign(tensor, { rawData, dataLocation: Location.DEFAULT, externalData: [] });
    }
    return bytes;
  } finally {
    await handle.close();
  }
}

async function readRegion(file: FileHandle, offset: number, length: number, location: string): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(new ArrayBuffer(length));
  for (let at = 0; at < length;) {
    const { bytesRead } = await file.read(bytes, at, Math.min(2 ** 30, length - at), offset + at);
    if (bytesRead === 0) throw new InputError(`External data file "${location}" ended early.`);
    at += bytesRead;
  }
  return bytes;
}

/** The description of a tensor whose bytes stand elsewhere: the same tensor without raw_data (ONNX TensorProto.external_data). */
export function asExternal(tensor: TensorProto, location: string, offset: number, length: number): TensorProto {
  const copy = copyOf(tensor, {
    dataLocation: Location.EXTERNAL,
    externalData: Object.entries({ location, offset: String(offset), length: String(length) }).map(([key, value]) => create(StringStringEntryProtoSchema, { key, value })),
  });
  Reflect.deleteProperty(copy, 'rawData');
  return copy;
}
