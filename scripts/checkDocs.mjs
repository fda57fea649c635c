// Checks that documentation tells what is there: relative links and their anchors, file paths, npm scripts, commands and options of the command line, settings and commands
// of the extension, and that the messages which docs/troubleshooting.md is ordered by stand in the sources.
import { existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const under = (folder, ending) => readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith(ending)).map((name) => join(folder, name));
const documents = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'examples/README.md', 'l10n/README.md', ...under('docs', '.md')];
const manifest = JSON.parse(readFileSync('package.json', 'utf8'));
const sources = [...under('src', '.ts')].map((file) => readFileSync(file, 'utf8')).join('\n').replaceAll("\\'", "'");

/** The command line's own table of commands and options. */
async function commandLine() {
  mkdirSync('dist/run', { recursive: true });
  const outfile = 'dist/run/commandTable.js';
  await build({ entryPoints: ['src/engine/cli/commands.ts'], outfile, bundle: true, platform: 'node', format: 'esm', packages: 'external', logLevel: 'error' });
  const { commands } = await import(pathToFileURL(outfile).href);
  return new Map(Object.entries(commands).map(([name, { options }]) => [name, new Set([...Object.keys(options), 'json', 'help'])]));
}
const commands = await commandLine();
/** Options of the project's own scripts, which documents may name too. */
const scriptOptions = new Set(under('scripts', '.mjs').concat(under('bench', '.ts')).flatMap((file) => [...readFileSync(file, 'utf8').matchAll(/--([a-z][\w-]*)|^\s*(?:options: \{ )?'?([a-z][\w-]*)'?: \{ type: '(?:string|boolean)'/gm)].map(([, a, b]) => a ?? b)));
const identifiers = new Set([...Object.keys(manifest.contributes.configuration.properties), ...manifest.contributes.commands.map(({ command }) => command), ...Object.values(manifest.contributes.views).flat().map(({ id }) => id)]);

const problems = [];
const slug = (heading) => heading.trim().toLowerCase().replace(/[`*]/g, '').replace(/[^\p{L}\p{N}\s_-]/gu, '').replace(/\s/g, '-');
const prose = (text) => text.replace(/^```[\s\S]*?^```/gm, '');
const anchorsOf = (file) => new Set([...prose(readFileSync(file, 'utf8')).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => slug(heading)));
/** Pieces of code: blocks line by line, and what stands between backticks. */
const codeOf = (text) => [...text.matchAll(/^```\w*\n([\s\S]*?)^```/gm)].flatMap(([, block]) => block.split('\n')).concat([...prose(text).matchAll(/`([^`\n]+)`/g)].map(([, code]) => code));
/** Stands for a path the reader fills in. What benchmarks write (bench/out) is on no fresh clone, so it counts as absent even where it is there. */
const isPlaceholder = (path) => /[*{<]|\b[A-Z]{4,}\b|\.\.\./.test(path);

const reasons = readFileSync('docs/decisions/dependencies.md', 'utf8');
for (const name of Object.keys({ ...manifest.dependencies, ...manifest.devDependencies })) if (!reasons.includes(`\`${name}\``)) problems.push(`docs/decisions/dependencies.md: no reason for ${name}`);

for (const file of documents) {
  const text = readFileSync(file, 'utf8');
  const tell = (what) => problems.push(`${file}: ${what}`);
  for (const [, target] of prose(text).matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target)) continue;
    const [path, anchor] = target.split('#');
    const found = path === '' ? file : normalize(join(dirname(file), path));
    if (!existsSync(found)) tell(`the link to ${target} leads nowhere`);
    else if (anchor !== undefined && found.endsWith('.md') && !anchorsOf(found).has(anchor)) tell(`${found} has no heading #${anchor}`);
  }
  for (const code of codeOf(text)) {
    for (const [path] of code.matchAll(/(?<![\w./-])(?:src|scripts|test|docs|bench|media|examples|l10n)\/[\w./-]*[\w/]/g)) if (!isPlaceholder(code) && (path.startsWith('bench/out') || !existsSync(path))) tell(`there is no ${path}`);
    for (const [, script] of code.matchAll(/npm run (?:--silent )?([\w:]+)/g)) if (!manifest.scripts[script]) tell(`there is no npm script "${script}"`);
    for (const [id] of code.matchAll(/\bautoCompress\.[\w.]+\w/g)) if (!identifiers.has(id)) tell(`package.json contributes no ${id}`);
    const call = /(?:dist\/cli\.js|^auto-compress|\$ auto-compress|npx auto-compress) ([a-z]+)\b(.*)$/.exec(code);
    const options = [...code.matchAll(/(?<![\w-])--([a-z][\w-]*)/g)].map(([, option]) => option);
    if (call && !commands.has(call[1])) tell(`the command line has no command "${call[1]}"`);
    else if (call) { for (const option of options) if (!commands.get(call[1]).has(option)) tell(`"${call[1]}" has no option --${option}`); }
    else if (/^--/.test(code)) for (const option of options) if (![...commands.values()].some((known) => known.has(option)) && !scriptOptions.has(option)) tell(`no command has an option --${option}`);
  }
}
for (const [, heading] of readFileSync('docs/troubleshooting.md', 'utf8').matchAll(/^### (.*)$/gm)) {
  for (const [, message] of heading.matchAll(/`([^`]+)`/g)) for (const part of message.split('...').map((piece) => piece.trim()).filter((piece) => piece !== '')) if (!sources.includes(part)) problems.push(`docs/troubleshooting.md: no message says "${part}"`);
}
for (const problem of problems) console.error(problem);
if (problems.length === 0) console.log(`documentation: ${documents.length} files checked`);
process.exit(problems.length > 0 ? 1 : 0);
