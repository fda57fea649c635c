import type { GraphProto, ModelProto } from 'onnx-buf';
import { GraphView } from '../onnx/graphView.ts';
import type { Session, Tensor, TypedArray } from '../runtime/session.ts';
import { declaredDims } from '../runtime/shapes.ts';
import { type Samples, chunked } from './samples.ts';

type Model = ModelProto & { graph: GraphProto };

/** The batch that a model fixes by the declared shape of its inputs; undefined where it takes any. */
export function fixedBatch({ graph }: Model): number | undefined {
  const { inputs } = new GraphView(graph);
  return graph.input.filter(({ name }) => inputs.includes(name)).map((input) => declaredDims(input)[0]).find((batch) => batch !== undefined);
}

/** A tensor with its last sample again until there are `batch`. */
function filled({ type, dims: [count = 1, ...dims], data }: Tensor, batch: number): Tensor {
  const size = data.length / count, whole = new (data.constructor as new (length: number) => TypedArray)(batch * size);
  whole.set(data as never);
  for (let i = count; i < batch; i++) whole.set(data.subarray((count - 1) * size) as never, i * size);
  return { type, dims: [batch, ...dims], data: whole };
}

/**
 * Runs a model on some samples, at most the batch that it fixes: fewer are filled up, and what it answers to the surplus is dropped.
 * @param fixed the batch that the model fixes, if it does @param feeds for every graph input, samples first @param names of the outputs wanted
 */
export async function runSamples(session: Session, fixed: number | undefined, feeds: Readonly<Record<string, Tensor>>, names?: readonly string[]): Promise<Record<string, Tensor>> {
  const count = Object.values(feeds)[0]?.dims[0];
  if (fixed === undefined || count === undefined || count === fixed) return session.run(feeds, names);
  const outputs = await session.run(Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, filled(tensor, fixed)])), names);
  return Object.fromEntries(Object.entries(outputs).map(([name, output]) => {
    const { type, dims: [rows, ...dims], data } = output;
    return [name, rows === fixed ? { type, dims: [count, ...dims], data: data.subarray(0, data.length / fixed * count) } : output];
  }));
}

/** All samples as chunks that a model takes one after the other: of the batch that it fixes, or of `most`. What does not fill a last chunk is left out; a single one is filled up. @returns for each input its chunks */
export function chunksFor(model: Model, samples: Samples, most: number): Record<string, Tensor[]> {
  const fixed = fixedBatch(model), chunks = chunked(samples, samples.count, fixed ?? most);
  return fixed === undefined || samples.count >= fixed ? chunks : Object.fromEntries(Object.entries(chunks).map(([name, tensors]) => [name, tensors.map((tensor) => filled(tensor, fixed))]));
}
