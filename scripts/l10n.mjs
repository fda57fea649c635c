// Keeps the texts translatable: writes l10n/bundle.l10n.json, every text of the extension's code (`t('...')`, `vscode.l10n.t('...')`), for translators. With --check it
// only compares, and looks at package.json: each %key% has its text in package.nls.json, each text its use, and no title or description stands there untranslated.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

const bundle = 'l10n/bundle.l10n.json';
const problems = [];
const folders = ['src/host', 'src/webview'];
const files = ['src/extension.ts', ...folders.flatMap((folder) => readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts')).map((name) => join(folder, name)))];

const texts = new Set();
for (const file of files) {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
  const visit = (node) => {
    if (ts.isCallExpression(node) && /^(t|vscode\.l10n\.t)$/.test(node.expression.getText())) {
      const [text] = node.arguments;
      if (text && ts.isStringLiteralLike(text)) texts.add(text.text);
      else problems.push(`${file}:${source.getLineAndCharacterOfPosition(node.getStart()).line + 1}: the text is not a literal, so it can't be translated`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
}

const manifest = readFileSync('package.json', 'utf8'), translated = JSON.parse(readFileSync('package.nls.json', 'utf8'));
const used = new Set([...manifest.matchAll(/"%([\w.]+)%"/g)].map(([, key]) => key));
for (const key of used) if (!(key in translated)) problems.push(`package.json: %${key}% is not in package.nls.json`);
for (const key of Object.keys(translated)) if (!used.has(key)) problems.push(`package.nls.json: "${key}" is not used in package.json`);
const shown = /^(title|description|markdownDescription|displayName|contents|altText|patternErrorMessage|userDescription)$/;
const look = (value, path) => {
  for (const [key, inner] of Object.entries(value)) {
    if (typeof inner === 'object' && inner !== null) { if (key !== 'inputSchema') look(inner, `${path}.${key}`); } // a tool's input schema is read by a language model
    else if (shown.test(key) && typeof inner === 'string' && !/^%.*%$/.test(inner) && inner !== 'Auto-Compress') problems.push(`package.json: ${path}.${key} is not translatable: "${inner}"`);
  }
};
look(JSON.parse(manifest).contributes, 'contributes');

const written = `${JSON.stringify(Object.fromEntries([...texts].sort().map((text) => [text, text])), null, 1)}\n`;
if (!process.argv.includes('--check')) writeFileSync(bundle, written);
else if ((() => { try { return readFileSync(bundle, 'utf8'); } catch { return ''; } })() !== written) problems.push(`${bundle} is not up to date: run npm run l10n`);
for (const problem of problems) console.error(problem);
process.exit(problems.length > 0 ? 1 : 0);
