// Writes the extension's VSIX for one platform or all: npm run package [-- --target linux-x64|all]. Each holds only its platform's native libraries
// (onnxruntime-node ships every platform's; sharp's come from npm, a package a platform). Staged in dist/stage, packed by vsce into dist/.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { packagedReadme } from './packagedReadme.mjs';
import { cacheFolder, ensureVsce } from './tools.mjs';

const targets = ['linux-x64', 'linux-arm64', 'darwin-arm64', 'win32-x64', 'win32-arm64'];
const limitBytes = 35e6;
const { values: { target: wanted = `${process.platform}-${process.arch}` } } = parseArgs({ options: { target: { type: 'string' } } });
const chosen = wanted === 'all' ? targets : [wanted];
for (const target of chosen) if (!targets.includes(target)) { console.error(`--target ${target}: expected one of ${targets.join(', ')}, or all.${target === 'darwin-x64' ? ' ONNX Runtime has no library for Macs with Intel processors.' : ''}`); process.exit(2); }

const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'));
const project = readJson('package.json');
const without = (object, ...fields) => Object.fromEntries(Object.entries(object).filter(([field]) => !fields.includes(field)));
const modules = (...parts) => join('node_modules', ...parts);

/** The package of a platform that is not this one, fetched by name and unpacked into the cache. */
function fetchPackage(name, version) {
  const folder = join(cacheFolder(), 'npm', `${name.replace('/', '+')}-${version}`);
  if (!existsSync(join(folder, 'package'))) {
    mkdirSync(folder, { recursive: true });
    const [{ filename }] = JSON.parse(execFileSync('npm', ['pack', `${name}@${version}`, '--json', '--pack-destination', folder], { stdio: ['ignore', 'pipe', 'ignore'] }));
    execFileSync('tar', ['-xzf', join(folder, basename(filename)), '-C', folder]);
  }
  return join(folder, 'package');
}

/** Copies a package of node_modules; its package.json keeps only the dependencies that are shipped. */
function stageModule(stage, name, from = modules(name), keepDependencies = []) {
  const to = join(stage, 'node_modules', name);
  cpSync(from, to, { recursive: true, filter: (path) => !path.includes(`${from}/node_modules`) && !/\.(d\.[cm]?ts|map|md)$/.test(path) });
  const manifest = readJson(join(to, 'package.json'));
  const dependencies = Object.fromEntries(Object.entries(manifest.dependencies ?? {}).filter(([dependency]) => keepDependencies.includes(dependency)));
  writeFileSync(join(to, 'package.json'), JSON.stringify({ ...without(manifest, 'optionalDependencies', 'devDependencies', 'peerDependencies', 'scripts'), dependencies }, null, 1));
}

function stageFor(target) {
  const [platform, arch] = target.split('-');
  const stage = join('dist', 'stage', target);
  rmSync(stage, { recursive: true, force: true });
  mkdirSync(join(stage, 'dist'), { recursive: true });
  for (const entry of ['package.nls.json', 'CHANGELOG.md', 'LICENSE', '.vscodeignore', 'media', 'l10n', 'examples']) if (existsSync(entry)) cpSync(entry, join(stage, entry), { recursive: true });
  writeFileSync(join(stage, 'README.md'), packagedReadme(readFileSync('README.md', 'utf8')));
  for (const file of ['cli.js', 'worker.js', 'extension.cjs', 'webview.js', 'webview.css']) cpSync(join('dist', file), join(stage, 'dist', file));

  stageModule(stage, 'onnxruntime-common');
  stageModule(stage, 'onnxruntime-node', modules('onnxruntime-node'), ['onnxruntime-common']);
  const bin = join(stage, 'node_modules/onnxruntime-node/bin/napi-v6');
  for (const os of readdirSync(bin)) for (const cpu of readdirSync(join(bin, os))) if (os !== platform || cpu !== arch) rmSync(join(bin, os, cpu), { recursive: true });
  const libraries = readdirSync(join(bin, platform, arch));
  // npm has no links, so macOS gets the library twice: the name that the binding asks for stays
  if (platform === 'darwin') {
    const binding = readFileSync(join(bin, platform, arch, 'onnxruntime_binding.node'), 'latin1');
    for (const name of libraries.filter((file) => file.endsWith('.dylib') && !binding.includes(`/${file}\0`))) rmSync(join(bin, platform, arch, name));
  }

  // loaded by onnxruntime.dll only when a GPU provider is asked for (DirectML is a delayed import, the compilers belong to WebGPU): the engine runs on the CPU
  if (platform === 'win32') for (const name of ['DirectML.dll', 'dxcompiler.dll', 'dxil.dll']) rmSync(join(bin, platform, arch, name), { force: true });

  const sharp = readJson(modules('sharp', 'package.json'));
  for (const name of Object.keys(sharp.dependencies)) { // the version that sharp sees: its own, where npm could not share one
    const own = join(modules('sharp'), 'node_modules', name);
    stageModule(stage, name, existsSync(own) ? own : modules(name));
  }
  const natives = Object.entries(sharp.optionalDependencies).filter(([name]) => name === `@img/sharp-${target}` || name === `@img/sharp-libvips-${target}`);
  for (const [name, version] of natives) stageModule(stage, name, existsSync(modules(name)) ? modules(name) : fetchPackage(name, version));
  stageModule(stage, 'sharp', modules('sharp'), [...Object.keys(sharp.dependencies)]);

  const shipped = ['onnxruntime-node', 'sharp', ...natives.map(([name]) => name)];
  const versions = { ...project.dependencies, ...Object.fromEntries(natives) };
  writeFileSync(join(stage, 'package.json'), JSON.stringify({ ...without(project, 'devDependencies', 'scripts', 'private', 'files'), dependencies: Object.fromEntries(shipped.map((name) => [name, versions[name]])) }, null, 1));
  return stage;
}

const { node, vsce } = ensureVsce();
let tooLarge = false;
for (const target of chosen) {
  const stage = stageFor(target);
  const out = join(process.cwd(), 'dist', `${project.name}-${target}-${project.version}.vsix`);
  execFileSync(node, [vsce, 'package', '--target', target, '--out', out, '--allow-missing-repository', '--no-rewrite-relative-links', '--skip-license'], { cwd: stage, stdio: ['ignore', 'ignore', 'inherit'] });
  const { size } = statSync(out);
  tooLarge ||= size > limitBytes;
  console.log(`${join('dist', basename(out))}  ${(size / 1e6).toFixed(1)} MB${size > limitBytes ? '  (over 35 MB)' : ''}`);
  rmSync(stage, { recursive: true, force: true });
}
process.exit(tooLarge ? 1 : 0);
