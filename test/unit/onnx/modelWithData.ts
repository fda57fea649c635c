import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { saveModel } from '../../../src/engine/onnx/modelFile.ts';
import { Network } from '../pruning/network.ts';

/** Writes `original.onnx`, whose weights stand in `net.onnx.data` beside it. @returns its path */
export async function writeModelWithData(folder: string): Promise<string> {
  const net = new Network(), x = net.input('x', ['batch', 3, 8, 8]), model = join(folder, 'original.onnx');
  net.output(net.op('GlobalAveragePool', [net.conv(net.op('Relu', [net.conv(x, 3, 16, [3, 3])]), 16, 20, [3, 3])]));
  await saveModel(net.model(), join(folder, 'net.onnx'), { externalData: true });
  await rename(join(folder, 'net.onnx'), model);
  return model;
}
