import { create } from '@bufbuild/protobuf';
import {
  type GraphProto, GraphProtoSchema, type ModelProto, ModelProtoSchema, type NodeProto, OperatorSetIdProtoSchema, type TensorProto, TensorProto_DataType as DataType,
  TensorShapeProto_DimensionSchema, TensorShapeProtoSchema, TypeProto_TensorSchema, TypeProtoSchema, type ValueInfoProto, ValueInfoProtoSchema,
} from 'onnx-buf';

/** A typed value; dims that are strings are symbolic, no dims at all leaves the shape open. */
export function valueInfo(name: string, dims?: readonly (number | string)[], elemType: number = DataType.FLOAT): ValueInfoProto {
  const shape = dims && create(TensorShapeProtoSchema, {
    dim: dims.map((dim) => create(TensorShapeProto_DimensionSchema, { value: typeof dim === 'number' ? { case: 'dimValue', value: BigInt(dim) } : { case: 'dimParam', value: dim } })),
  });
  return create(ValueInfoProtoSchema, { name, type: create(TypeProtoSchema, { value: { case: 'tensorType', value: create(TypeProto_TensorSchema, { elemType, ...(shape ? { shape } : {}) }) } }) });
}

export interface GraphParts {
  readonly nodes: readonly NodeProto[];
  readonly inputs: readonly ValueInfoProto[];
  readonly outputs: readonly ValueInfoProto[];
  readonly initializers?: readonly TensorProto[];
  /** Operator set versions by domain; ONNX 17 where nothing is said. */
  readonly opsetImport?: ModelProto['opsetImport'];
}

/** A model around a few nodes: for parts of a network, and for arithmetic. */
export function buildModel({ nodes, inputs, outputs, initializers = [], opsetImport }: GraphParts): ModelProto & { graph: GraphProto } {
  const graph = create(GraphProtoSchema, { name: 'graph' });
  graph.node = [...nodes];
  graph.input = [...inputs];
  graph.output = [...outputs];
  graph.initializer = [...initializers];
  const model = create(ModelProtoSchema, { irVersion: 8n, producerName: 'auto-compress' });
  model.opsetImport = opsetImport ?? [create(OperatorSetIdProtoSchema, { domain: '', version: 17n })];
  model.graph = graph;
  return model as ModelProto & { graph: GraphProto };
}
