// Bundles one file a process: the extension, the engine's worker, the command line, and the browser half of the webviews.
import { existsSync } from 'node:fs';
import { build } from 'esbuild';
const external = ['vscode', 'onnxruntime-node', 'sharp'];
const requireShim = { js: "import { createRequire as autoCompressRequire } from 'node:module'; const require = autoCompressRequire(import.meta.url);" };
const common = { bundle: true, minify: false, sourcemap: process.argv.includes('--sourcemap'), target: 'node20', logLevel: 'warning', legalComments: 'none' };
const entries = [
  { entryPoints: ['src/engine/cli.ts'], outfile: 'dist/cli.js', platform: 'node', format: 'esm', external, banner: { js: `#!/usr/bin/env node\n${requireShim.js}` } },
  { entryPoints: ['src/engine/worker.ts'], outfile: 'dist/worker.js', platform: 'node', format: 'esm', external, banner: requireShim },
  { entryPoints: ['src/extension.ts'], outfile: 'dist/extension.cjs', platform: 'node', format: 'cjs', mainFields: ['module', 'main'], external },
  { entryPoints: ['src/webview/client/main.ts'], outfile: 'dist/webview.js', platform: 'browser', format: 'esm', target: 'es2023', loader: { '.css': 'css' } },
];
await Promise.all(entries.filter(({ entryPoints: [file] }) => existsSync(file)).map((entry) => build({ ...common, ...entry })));
