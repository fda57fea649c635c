// Runs the commands that the documents show: npm run test:docs [-- DOCUMENT ...]. Every line of a `sh` block is executed as it is written, in the document's order, in a world where the documents'
// names exist (model.onnx, images/val, ...: the bundled ResNet-20 and its images); it must exit 0, or as its comment says ("exit status 3"). A command that is not executed here must be
// declared in `elsewhere` with the place where it runs. Blocks of JSON and code must parse. Links and options are the subject of scripts/checkDocs.mjs.
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { build, transform } from 'esbuild';
import { parse as parseJsonc } from 'jsonc-parser';

/** Appended for speed to a line that does not have the option, and printed with it; a third word replaces that value of the line (the last of two counts). */
const faster = [
  [/\bcompress /, '--episodes', '4', '40'], [/\bcompress /, '--refine', '0'], [/\bcompress /, '--threads', '1'], [/\bbenchmark /, '--seconds', '0.3'],
];
/** Not executed here, and where they are. */
const elsewhere = [
  [/^npm test$/, 'all tests, which take long and end in a workbench'],
  [/^npm run demo$/, 'the same command line with 40 episodes and refinement: minutes'],
  [/^npm run (lint|typecheck|build|l10n|results)$/, 'part of npm test (build: of this script)'],
  [/^npm run (test:e2e|test:faults|package|release|test:docs)$/, 'installs tools, takes long, or is this script'],
  [/^(npm (ci|pack|install && npm ci|install --ignore-scripts( auto-compress-\S+)?)|npx auto-compress( inspect)?)$/, 'needs the registry: docs/newcomer-log.md tells how it went'],
  [/^npx vitest run /, 'part of npm test'],
  [/^node scripts\/makePictures\.mjs$/, 'needs the screenshots of npm run test:e2e'],
  [/^node scripts\/run\.mjs bench\/NAME\.ts$/, 'names no program'],
  [/^(npm run bench:|node scripts\/run\.mjs bench\/)/, 'needs models and hours; here it is bundled, so it parses and its imports exist'],
  [/^git lfs pull$|^python3? -m onnxruntime\./, 'a tool that is not part of this project'],
];

const root = process.cwd(), manifest = JSON.parse(readFileSync('package.json', 'utf8'));
const all = ['README.md', 'CONTRIBUTING.md', 'examples/README.md', ...readdirSync('docs', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.md')).sort().map((name) => join('docs', name))];
const documents = process.argv.length > 2 ? process.argv.slice(2) : all;
const problems = [], counts = { executed: 0, elsewhere: 0, parsed: 0, external: 0 };
const fail = (file, what) => { problems.push(`${file}: ${what}`); console.log(`FAIL ${file}: ${what}`); };

const scratch = mkdtempSync(join(tmpdir(), 'auto-compress-docs-')), template = join(scratch, 'world');
/** As `npm install` of the package leaves it: the command in node_modules/.bin, which a shell of an npm script finds without npx too. */
const environment = (world) => ({ ...process.env, PATH: `${join(world, 'node_modules/.bin')}${delimiter}${process.env.PATH}`, npm_config_yes: 'false' });

/** Runs a line in a shell. @param until kills it (Ctrl-C) when its output matches @returns {Promise<{status: number, output: string}>} */
const shell = (line, cwd, until) => new Promise((done) => {
  const child = spawn(line, { cwd, shell: '/bin/bash', env: environment(cwd), stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let output = '', interrupted = false;
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => { output += chunk; if (until?.test(output) && !interrupted) { interrupted = true; process.kill(-child.pid, 'SIGINT'); } });
  child.on('close', (status) => { done({ status, output }); });
});

/** Bundled images of every class, from one place of the sorted names to another. */
function copyImages(part, to, from, until) {
  for (const name of readdirSync(join('examples/cifar10', part))) {
    mkdirSync(join(to, name), { recursive: true });
    for (const image of readdirSync(join('examples/cifar10', part, name)).sort().slice(from, until)) copyFileSync(join('examples/cifar10', part, name, image), join(to, name, image));
  }
}

/** The files that the documents speak of: a model, images, the result of an earlier run, and a run that was stopped. */
async function makeWorld() {
  for (const folder of ['node_modules/.bin', 'examples']) mkdirSync(join(template, folder), { recursive: true });
  copyFileSync('examples/resnet20.onnx', join(template, 'model.onnx'));
  copyFileSync('examples/resnet20.onnx', join(template, 'examples/resnet20.onnx'));
  copyImages('validation', join(template, 'images/val'), 0, 12);
  copyImages('validation', join(template, 'images/test'), 12, 24);
  copyImages('calibration', join(template, 'images/train'), 0, 10);
  for (const [part, folder] of [['validation', 'val'], ['calibration', 'train']]) cpSync(join(template, 'images', folder), join(template, 'examples/cifar10', part), { recursive: true });
  symlinkSync(join(root, 'dist'), join(template, 'dist'));
  const command = join(template, 'node_modules/.bin/auto-compress');
  writeFileSync(command, `#!/bin/sh\nexec '${process.execPath}' '${join(root, 'dist/cli.js')}' "$@"\n`);
  chmodSync(command, 0o755);
  const earlier = await shell('auto-compress prune model.onnx --preserve 0.7 --no-reconstruct --out model.compressed.onnx', template);
  if (earlier.status !== 0) throw new Error(`the world could not be made:\n${earlier.output}`);
}

/** A run that Ctrl-C stopped, in the folder that a document names. */
async function stopRun(world, folder) {
  const { status } = await shell(`auto-compress compress model.onnx --val images/val --calibration images/train --episodes 4 --refine 0 --threads 1 --out resumed.onnx --run-dir ${folder}`, world, /Searching/);
  if (status !== 130) throw new Error(`a run to be resumed ended with status ${status}`);
}

async function execute(file, line, world) {
  const [, code, comment = ''] = /^(.*?)(?:\s+#\s(.*))?$/.exec(line), expected = Number(/exit status (\d+)/.exec(comment)?.[1] ?? 0);
  const added = faster.filter(([pattern, option, , replaced]) => pattern.test(code) && (!code.includes(option) || code.includes(`${option} ${replaced}`))).map(([, option, value]) => `${option} ${value}`).join(' ');
  const folder = / resume (\S+)$/.exec(code)?.[1];
  if (folder && !existsSync(join(world, folder))) await stopRun(world, folder);
  const start = performance.now(), { status, output } = await shell(`${code} ${added}`, world);
  counts.executed++;
  if (status !== expected) fail(file, `"${code}" ended with status ${status}, not ${expected}:\n${output.trim().split('\n').slice(-8).join('\n')}`);
  else console.log(`ok   ${file}: ${code}${added ? `  (+ ${added})` : ''}  ${((performance.now() - start) / 1000).toFixed(1)} s`);
}

const bundled = new Set();
/** Says where a command runs that is not executed here; a bench program is bundled. @returns whether it is declared */
async function runsElsewhere(file, command) {
  const [, reason] = elsewhere.find(([pattern]) => pattern.test(command)) ?? [];
  if (reason === undefined) return false;
  counts.elsewhere++;
  console.log(`--   ${file}: ${command}  (not executed: ${reason})`);
  const program = /bench\/[a-z]\w*\.ts/.exec(manifest.scripts[/^npm run ([\w:]+)/.exec(command)?.[1] ?? ''] ?? command)?.[0];
  if (program && !bundled.has(program)) {
    bundled.add(program);
    await build({ entryPoints: [program], bundle: true, write: false, platform: 'node', format: 'esm', packages: 'external', logLevel: 'silent' }).catch((error) => { fail(file, `${program}: ${error.message}`); });
  }
  return true;
}

/** Options and settings: what stands there must be JSON, and a task one that package.json declares. */
function checkJson(file, text) {
  const errors = [], value = parseJsonc(text, errors, { allowTrailingComma: true });
  counts.parsed++;
  if (errors.length > 0) { fail(file, `this is not JSON: ${text}`); return; }
  const task = manifest.contributes.taskDefinitions.find(({ type }) => type === value?.type);
  if (task) for (const key of Object.keys(value)) if (!['type', 'label', 'group', 'problemMatcher', ...Object.keys(task.properties)].includes(key)) fail(file, `a task has no property "${key}"`);
}

const parsers = {
  json: checkJson, jsonc: checkJson,
  js: async (file, text) => { counts.parsed++; await transform(text, { loader: 'js', format: 'esm' }).catch((error) => { fail(file, `JavaScript that does not parse: ${error.message}`); }); },
  python: (file, text) => {
    const { status, error, stderr } = spawnSync('python3', ['-c', 'import ast, sys; ast.parse(sys.stdin.read())'], { input: text, encoding: 'utf8' });
    if (error) console.log(`--   ${file}: a Python block  (not parsed: no python3 here)`); else if (status !== 0) fail(file, `Python that does not parse: ${stderr}`); else counts.parsed++;
  },
};

async function checkDocument(file) {
  const text = readFileSync(file, 'utf8'), world = join(scratch, file.replaceAll('/', '-'));
  const blocks = [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```/gm)], lines = blocks.filter(([, language]) => language === 'sh').flatMap(([, , block]) => block.replaceAll('\\\n', ' ').split('\n'));
  for (const [, language, block] of blocks) if (parsers[language]) await parsers[language](file, block); else if (language !== 'sh' && language !== '') fail(file, `a block of ${language}: scripts/runDocs.mjs does not know what to do with it`);
  for (const line of lines.filter((own) => own.trim() !== '' && !own.startsWith('#'))) {
    if (await runsElsewhere(file, line.replace(/\s+#\s.*$/, '').trim())) continue;
    if (!existsSync(world)) cpSync(template, world, { recursive: true, verbatimSymlinks: true });
    await execute(file, line, world);
  }
  const prose = text.replace(/^```[\s\S]*?^```/gm, '');
  counts.external += new Set([...prose.matchAll(/\]\((https?:[^)\s]+)\)/g)].map(([, link]) => link)).size;
  for (const [, code] of prose.matchAll(/`([^`]+)`/g)) {
    const command = code.replace(/\s+/g, ' ');
    for (const [, json] of command.matchAll(/'(\{.*\})'/g)) checkJson(file, json);
    if (/^(npm|npx|git|python3?|node (?!dist\/cli\.js)\S*\/) ?\S/.test(command) && !await runsElsewhere(file, command)) fail(file, `"${command}" is neither executed nor declared in scripts/runDocs.mjs`);
  }
}

if (!existsSync(resolve('dist/cli.js'))) { console.error('dist/cli.js is missing: npm run build'); process.exit(2); }
try {
  await makeWorld();
  for (const file of documents) await checkDocument(file);
} finally { rmSync(scratch, { recursive: true, force: true }); }
console.log(`${documents.length} documents: ${counts.executed} commands executed, ${counts.elsewhere} named that run elsewhere, ${counts.parsed} blocks and options parsed (onnxruntime-web's is not run: no dependency), ${counts.external} external links not opened`);
if (problems.length > 0) console.error(`\n${problems.join('\n')}`);
process.exit(problems.length > 0 ? 1 : 0);
