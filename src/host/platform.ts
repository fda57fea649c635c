import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Whether the engine's native library came with this installation for this platform (there is none for Macs with Intel processors). */
export function hasRuntime(extensionPath: string, platform: string = process.platform, arch: string = process.arch): boolean {
  return existsSync(join(extensionPath, 'node_modules', 'onnxruntime-node', 'bin', 'napi-v6', platform, arch, 'onnxruntime_binding.node'));
}
