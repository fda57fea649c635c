// A real run on the bundled ResNet-20 and CIFAR-10 images: halves the multiply-accumulates, ends in the table. Further arguments go to `compress`.
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
rmSync('dist/demo', { recursive: true, force: true });
mkdirSync('dist/demo', { recursive: true });
const child = spawn(process.execPath, [
  'dist/cli.js', 'compress', 'examples/resnet20.onnx', '--val', 'examples/cifar10/validation', '--calibration', 'examples/cifar10/calibration',
  '--target', 'macs=0.5', '--episodes', '40', '--out', 'dist/demo/resnet20.compressed.onnx', '--run-dir', 'dist/demo/run', ...process.argv.slice(2),
], { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal)); // the run stops in its own way
child.on('exit', (status) => { process.exitCode = status ?? 1; });
