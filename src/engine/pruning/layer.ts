import type { NodeProto } from 'onnx-buf';

/** A node with a constant weight that does multiply-accumulates: Conv, ConvTranspose, Gemm, MatMul, Einsum ... */
export interface Layer {
  readonly name: string;
  readonly node: NodeProto;
  readonly opType: string;
  /** Constant weight and bias (the bias may be a following Add's constant, as in MatMul + Add); '' where there is none. */
  readonly weight: string;
  readonly bias: string;
  /** Data input and output values (before a following bias Add). */
  readonly input: string;
  readonly output: string;
  /** The output with its bias: itself, or what the following Add makes of it. */
  readonly biased: string;
  /** Axis of the weight that runs over output channels, and over input channels (per group for grouped convolution). */
  readonly outAxis: number;
  readonly inAxis: number;
  /** Convolution groups; 1 otherwise. */
  readonly groups: number;
  /** Multiply-accumulates for one sample. */
  readonly macs: number;
  readonly params: number;
}
