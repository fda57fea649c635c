// Type-checks each part of the project with the types it may use: engine (no DOM), host (vscode), browser (no Node), tests.
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
import { existsSync } from 'node:fs';
for (const project of ['src/engine', 'src/host', 'src/webview/client', '.'].filter((folder) => folder !== 'src/host' || existsSync('src/extension.ts')).filter((folder) => folder !== 'src/webview/client' || existsSync('src/webview/client/main.ts'))) {
  execFileSync(process.execPath, [tsc, '-p', project], { stdio: 'inherit' });
}
