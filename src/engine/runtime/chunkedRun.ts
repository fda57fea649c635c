import type { GraphProto, ModelProto } from 'onnx-buf';
import { valueInfo } from '../onnx/buildModel.ts';
import { Session, type SessionOptions, type Tensor } from './session.ts';

/**
 * Runs a model over chunks of samples, as long as anything is wanted of it; what is not wanted any more is not computed.
 * @param feeds for every graph input, one tensor a chunk @param wanted values asked of a chunk: of each no more than of the one before; graph inputs are given as they are
 * @returns the wanted values by name, chunk after chunk
 */
export async function* runChunks(model: ModelProto & { graph: GraphProto }, feeds: Readonly<Record<string, readonly Tensor[]>>, wanted: (chunk: number) => readonly string[], options: SessionOptions & { readonly signal?: AbortSignal } = {}): AsyncGenerator<Readonly<Record<string, Tensor>>> {
  let session: Session | undefined, names: readonly string[] = [];
  try {
    for (let chunk = 0; ; chunk++) {
      options.signal?.throwIfAborted();
      const all = new Set(wanted(chunk)), computed = [...all].filter((name) => !(name in feeds));
      if (all.size === 0) return;
      if (!session || computed.length < names.length) {
        const done = session;
        session = undefined; // where the next one can't be made there is nothing left to release
        await done?.release();
        names = computed;
        session = names.length === 0 ? undefined : await Session.create({ ...model, graph: { ...model.graph, output: names.map((name) => valueInfo(name)), valueInfo: [] } }, options);
      }
      const given = Object.fromEntries(Object.entries(feeds).map(([name, tensors]) => [name, tensors[chunk]!]));
      yield { ...given, ...(session ? await session.run(given) : {}) };
    }
  } finally {
    await session?.release();
  }
}
