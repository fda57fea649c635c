import { create } from '@bufbuild/protobuf';
import {
  type GraphProto, GraphProtoSchema, type ModelProto, ModelProtoSchema, type NodeProto, OperatorSetIdProtoSchema, type TensorProto, type ValueInfoProto,
} from 'onnx-buf';
import { type AttributeValue, makeNode } from './attributes.ts';
import { valueInfo } from './buildModel.ts';
import { opsetOf } from './modelFile.ts';
import { DataType, floatTensor, int64Tensor } from './tensor.ts';

/** A value's name, or a number that stands for a float32 constant of rank 0. */
export type Operand = string | number;

/**
 * Writes an ONNX graph node by node; values are named by strings, names are made up so that none clashes. Equal small constants are shared.
 * Starts empty (opset 17) or from a copy of an existing model's graph, whose messages are shared and not changed.
 */
export class GraphBuilder {
  readonly nodes: NodeProto[];
  readonly initializers: TensorProto[];
  readonly inputs: ValueInfoProto[];
  readonly outputs: ValueInfoProto[];
  private readonly source: ModelProto & { graph: GraphProto };
  private readonly taken = new Set<string>();
  private readonly counts = new Map<string, number>();
  private readonly shared = new Map<string, string>();
  private readonly domains = new Set<string>();

  constructor(model?: ModelProto & { graph: GraphProto }) {
    this.source = model ?? create(ModelProtoSchema, {
      irVersion: 8n, opsetImport: [create(OperatorSetIdProtoSchema, { version: 17n })], graph: create(GraphProtoSchema, { name: 'graph' }),
    }) as ModelProto & { graph: GraphProto };
    const { graph } = this.source;
    this.nodes = [...graph.node];
    this.initializers = [...graph.initializer];
    this.inputs = [...graph.input];
    this.outputs = [...graph.output];
    for (const { name } of [...this.initializers, ...this.inputs]) this.taken.add(name);
    for (const node of this.nodes) for (const name of [node.name, ...node.output]) this.taken.add(name); // nodes are named by what they give
  }

  get opset(): number { return opsetOf(this.source); }

  /** A name that nothing in the graph has yet. */
  fresh(hint: string): string {
    for (;;) {
      const count = this.counts.get(hint) ?? 0;
      this.counts.set(hint, count + 1);
      const name = count === 0 ? hint : `${hint}:${count}`;
      if (!this.taken.has(name)) { this.taken.add(name); return name; }
    }
  }

  /** Keeps names of values that the graph will get later from being made up. */
  reserve(names: Iterable<string>): void { for (const name of names) this.taken.add(name); }

  /** Appends a node with several outputs. @returns their names */
  ops(opType: string, inputs: readonly Operand[], count: number, attributes: Readonly<Record<string, AttributeValue>> = {}): string[] {
    const outputs = Array.from({ length: count }, () => this.fresh(opType));
    this.nodes.push(makeNode(opType, inputs.map((input) => this.operand(input)), outputs, attributes, outputs[0]));
    return outputs;
  }

  /** Appends a node with one output. @returns its name */
  op(opType: string, inputs: readonly Operand[], attributes: Readonly<Record<string, AttributeValue>> = {}): string {
    return this.ops(opType, inputs, 1, attributes)[0]!;
  }

  /** Appends a node of another operator set than ONNX's own, version 1. @returns its name */
  opOf(domain: string, opType: string, inputs: readonly Operand[], attributes: Readonly<Record<string, AttributeValue>> = {}): string {
    const name = this.op(opType, inputs, attributes);
    this.nodes.at(-1)!.domain = domain;
    this.domains.add(domain);
    return name;
  }

  add(a: Operand, b: Operand): string { return this.op('Add', [a, b]); }
  sub(a: Operand, b: Operand): string { return this.op('Sub', [a, b]); }
  mul(a: Operand, b: Operand): string { return this.op('Mul', [a, b]); }
  div(a: Operand, b: Operand): string { return this.op('Div', [a, b]); }
  neg(a: Operand): string { return this.op('Neg', [a]); }
  sqrt(a: Operand): string { return this.op('Sqrt', [a]); }
  reshape(value: string, dims: readonly number[]): string { return this.op('Reshape', [value, this.ints(dims)]); }
  transpose(value: string, perm: readonly number[]): string { return perm.every((axis, i) => axis === i) ? value : this.op('Transpose', [value], { perm }); }
  /** Sum over axes; over none it is the value itself. */
  sum(value: string, axes: readonly number[], keepdims = false): string {
    return axes.length === 0 ? value : this.op('ReduceSum', [value, this.ints(axes)], { keepdims: Number(keepdims) });
  }
  /** Arithmetic mean of all elements, rank 0. @param count how many there are */
  meanOfAll(value: string, count: number): string { return this.mul(this.op('ReduceSum', [value], { keepdims: 0 }), 1 / count); }
  /** Elements [start, end) along each of the axes. */
  slice(value: string, axes: readonly number[], starts: readonly number[], ends: readonly number[], steps?: readonly number[]): string {
    return this.op('Slice', [value, this.ints(starts), this.ints(ends), this.ints(axes), ...(steps ? [this.ints(steps)] : [])]);
  }
  /** Cuts a value along an axis into pieces of the given lengths; a single piece is the value itself. */
  split(value: string, axis: number, lengths: readonly number[]): string[] {
    return lengths.length === 1 ? [value] : this.ops('Split', [value, this.ints(lengths)], lengths.length, { axis });
  }
  concat(values: readonly string[], axis: number): string { return values.length === 1 ? values[0]! : this.op('Concat', values, { axis }); }
  zeros(dims: readonly number[]): string { return this.op('ConstantOfShape', [this.ints(dims)]); }

  /** A float32 constant of rank 0. */
  scalar(value: number): string {
    return this.constant(`f ${Object.is(value, -0) ? '-0' : value}`, (name) => floatTensor(name, [], Float32Array.of(value)));
  }
  /** An int64 constant of rank 0. */
  scalarInt(value: number): string { return this.constant(`n ${value}`, (name) => int64Tensor(name, [], [value])); }
  /** An int64 constant of rank 1. */
  ints(values: readonly number[]): string { return this.constant(`i ${values.join()}`, (name) => int64Tensor(name, [values.length], values)); }
  /** A float32 constant. */
  floats(dims: readonly number[], values: Float32Array): string {
    const name = this.fresh('constant');
    this.initializers.push(floatTensor(name, dims, values));
    return name;
  }

  /** Appends a graph input. @returns its name */
  input(name: string, dims: readonly (number | string)[], elemType: number = DataType.FLOAT): string {
    this.taken.add(name);
    this.inputs.push(valueInfo(name, dims, elemType));
    return name;
  }
  /** Makes a value a graph output of the given name. */
  output(value: string, name: string, dims: readonly (number | string)[], elemType: number = DataType.FLOAT): void {
    if (value !== name) this.nodes.push(makeNode('Identity', [value], [name], {}, this.fresh(`output ${name}`)));
    this.outputs.push(valueInfo(name, dims, elemType));
  }

  /** The model as it stands. */
  model(): ModelProto & { graph: GraphProto } {
    const { graph, opsetImport } = this.source, more = [...this.domains].filter((domain) => opsetImport.every((entry) => entry.domain !== domain)).map((domain) => create(OperatorSetIdProtoSchema, { domain, version: 1n }));
    return { ...this.source, opsetImport: [...opsetImport, ...more], graph: { ...graph, node: [...this.nodes], initializer: [...this.initializers], input: [...this.inputs], output: [...this.outputs], valueInfo: [] } };
  }

  private operand(value: Operand): string { return typeof value === 'number' ? this.scalar(value) : value; }
  private constant(key: string, make: (name: string) => TensorProto): string {
    let name = this.shared.get(key);
    if (name === undefined) {
      name = this.fresh('constant');
      this.shared.set(key, name);
      this.initializers.push(make(name));
    }
    return name;
  }
}
