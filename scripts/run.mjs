// Runs a TypeScript program of bench/ or scripts/ on any supported Node: node scripts/run.mjs bench/zoo.ts [args]
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import './ensureInstalled.mjs';
const [entry, ...args] = process.argv.slice(2);
if (!entry) { console.error('usage: node scripts/run.mjs FILE.ts [args]'); process.exit(2); }
const { build } = await import('esbuild');
mkdirSync('dist/run', { recursive: true });
const outfile = join('dist/run', `${basename(entry, '.ts')}.js`);
await build({ entryPoints: [entry], outfile, bundle: true, platform: 'node', format: 'esm', target: 'node20', packages: 'external', sourcemap: 'inline', logLevel: 'warning' });
const { status, signal } = spawnSync(process.execPath, ['--enable-source-maps', outfile, ...args], { stdio: 'inherit' });
process.exit(status ?? (signal ? 1 : 0));
