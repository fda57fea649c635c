import { createHash } from 'node:crypto';
import type { ModelProto } from 'onnx-buf';
import { externalFiles } from './externalData.ts';
import { decodeModel, readModelFile } from './modelFile.ts';

/** The files beside a model that hold its data, opened one after the other; none where the bytes are no model: whoever loads it says so. */
export async function* filesBeside(bytes: Uint8Array, path: string): ReturnType<typeof externalFiles> {
  let model: ModelProto;
  try { model = decodeModel(bytes, path); } catch { return; }
  yield* externalFiles(model, path);
}

/** SHA-256 of a model, in hexadecimal: of its file or, where weights stand in files beside it, of all of these. */
export async function sha256OfModel(path: string): Promise<string> {
  const bytes = await readModelFile(path), own = createHash('sha256').update(bytes).digest('hex'), beside: string[] = [];
  for await (const { file } of filesBeside(bytes, path)) {
    const hash = createHash('sha256');
    for await (const chunk of file.createReadStream({ autoClose: false, start: 0, highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer);
    beside.push(hash.digest('hex'));
  }
  return beside.length === 0 ? own : createHash('sha256').update([own, ...beside].join()).digest('hex');
}
