import { createHash } from 'node:crypto';
import { access, constants, readFile, realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { ModelProto } from 'onnx-buf';
import { InputError } from '../errors.ts';
import { externalFiles } from './externalData.ts';
import { decodeModel } from './modelFile.ts';

/** The model of a file, without the data that stand beside it; undefined where it is none: whoever loads it says so. */
function modelIn(bytes: Uint8Array, path: string): ModelProto | undefined {
  try { return decodeModel(bytes, path); } catch { return undefined; }
}

/** SHA-256 of a model, in hexadecimal: of its file or, where weights stand in files beside it, of all of these. */
export async function sha256OfModel(path: string): Promise<string> {
  const bytes = await readFile(path), own = createHash('sha256').update(bytes).digest('hex'), model = modelIn(bytes, path), beside: string[] = [];
  for await (const { file } of model ? externalFiles(model, path) : []) {
    const hash = createHash('sha256');
    for await (const chunk of file.createReadStream({ autoClose: false, start: 0, highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer);
    beside.push(hash.digest('hex'));
  }
  return beside.length === 0 ? own : createHash('sha256').update([own, ...beside].join()).digest('hex');
}

/** A file's path without links, also of a file that is not there yet. */
const realFile = (path: string): Promise<string> => realpath(path).catch(async () => join(await realpath(dirname(path)).catch(() => resolve(dirname(path))), basename(path)));

/**
 * Checks, before the work and not after it, that a model can be written to `out`, and that neither the original nor a file with its weights goes lost by it.
 * @throws {InputError} says what is in the way
 */
export async function checkOut(out: string, original: string): Promise<void> {
  const bytes = await readFile(original).catch(() => undefined), model = bytes && modelIn(bytes, original);
  if (!bytes) return; // whoever loads it says why it can't be read
  await access(dirname(resolve(out)), constants.W_OK).catch((error: NodeJS.ErrnoException) => {
    throw new InputError(`Can't write ${out}: ${error.code === 'ENOENT' ? 'its folder does not exist' : 'its folder is read-only'}.`, { cause: error });
  });
  const written = await Promise.all([out, `${out}.data`].map(realFile)); // saveModel puts large weights into a file beside it
  if (written[0] === await realFile(original)) throw new InputError('The output would overwrite the model: give another --out.');
  for await (const { path } of model ? externalFiles(model, original) : []) {
    if (written.includes(await realFile(path))) throw new InputError(`The output ${out} would overwrite ${path}, which holds the model's weights: give another --out.`);
  }
}
