import type { GraphProto, ModelProto } from 'onnx-buf';
import { Session, type Tensor, floats } from '../runtime/session.ts';
import { type Feature, withFeatures } from './features.ts';
import { targetName, teacherLogitsName } from './losses.ts';

/** The network that is imitated: what it answers to pictures, as feeds of the losses in losses.ts. */
export class Teacher {
  private readonly session: Session;
  /** Name of the feed, and of the teacher's output that goes there. */
  private readonly outputs: readonly { readonly feed: string; readonly output: string }[];
  /** Answers by picture, where pictures are seen more than once: of each output its elements. */
  private readonly known: Map<number, readonly Float32Array[]> | undefined;
  /** Shapes of one picture's answers. */
  private dims: readonly (readonly number[])[] | undefined;

  private constructor(session: Session, outputs: Teacher['outputs'], known: Teacher['known']) {
    this.session = session;
    this.outputs = outputs;
    this.known = known;
  }

  /** @param teacher that takes any batch @param logits its scores of classes, where it is a classifier @param remember whether pictures come again, so that each is looked at once */
  static async create(teacher: ModelProto & { graph: GraphProto }, logits: string | undefined, features: readonly Feature[], { threads, remember }: { readonly threads: number; readonly remember: boolean }): Promise<Teacher> {
    const scores = logits === undefined ? [] : [logits], { model, names } = withFeatures(teacher, scores, features);
    const outputs = [...scores.map((output) => ({ feed: teacherLogitsName, output })), ...features.map(({ value }, i) => ({ feed: targetName(value), output: names[i]! }))];
    return new Teacher(await Session.create(model, { threads }), outputs, remember ? new Map() : undefined);
  }

  /** @param pictures a number for each of the samples, the same only for the same contents */
  async answers(inputs: Readonly<Record<string, Tensor>>, pictures: readonly number[]): Promise<Record<string, Tensor>> {
    if (this.known && pictures.every((picture) => this.known!.has(picture))) {
      const rows = pictures.map((picture) => this.known!.get(picture)!), dims = this.dims!;
      return Object.fromEntries(this.outputs.map(({ feed }, i) => {
        const width = rows[0]![i]!.length, data = new Float32Array(pictures.length * width);
        rows.forEach((row, n) => { data.set(row[i]!, n * width); });
        return [feed, floats(data, [pictures.length, ...dims[i]!])];
      }));
    }
    const results = await this.session.run(inputs), tensors = this.outputs.map(({ output }) => results[output] as Tensor<Float32Array>);
    this.dims = tensors.map(({ dims }) => dims.slice(1));
    pictures.forEach((picture, n) => this.known?.set(picture, tensors.map(({ data }) => data.slice((n * data.length) / pictures.length, ((n + 1) * data.length) / pictures.length))));
    return Object.fromEntries(this.outputs.map(({ feed }, i) => [feed, tensors[i]!]));
  }

  async release(): Promise<void> { await this.session.release(); }
}
