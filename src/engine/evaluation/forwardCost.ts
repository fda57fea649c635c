import { samplesInRun } from '../pruning/costs.ts';
import type { Analysis } from '../pruning/types.ts';

/** Multiply-accumulates a second of onnxruntime on a laptop, and by how much those of depthwise convolutions are slower. */
const macsPerSecond = 7e10, depthwiseFactor = 20;

/** Float32 values of all layers that a pass gives for each of its samples. */
export function valuesASample(analysis: Analysis): number {
  const { axes, view } = analysis.structure.facts, sizeOf = (value: string): number => (axes.shapeOf(value) ?? []).reduce((a, b) => a * b, 1);
  return view.nodes.reduce((sum, { output }) => sum + output.reduce((all, value) => all + sizeOf(value), 0), 0) / samplesInRun(analysis);
}

/**
 * Seconds that a forward pass of one sample takes on a laptop, from the model's arithmetic alone: what is planned by it is the same on every machine.
 * On two cores of a server the CIFAR-10 networks took about this (resnet20 0.6 ms, resnet56 1.9, mobilenetv1 1.3, vgg16 4.4).
 */
export function forwardSeconds({ layers, macs, structure }: Analysis): number {
  const { constants } = structure.facts.view;
  const depthwise = layers.filter(({ groups, weight, inAxis }) => groups > 1 && Number(constants.get(weight)?.dims[inAxis]) === 1).reduce((sum, layer) => sum + layer.macs, 0);
  return (macs + (depthwiseFactor - 1) * depthwise) / macsPerSecond;
}
