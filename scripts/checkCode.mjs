// What the linter does not look at: files of src/ that grew too long, and dead exports: names that nobody imports and that their own file does not use.
// An export that serves its own file, such as the type of a parameter, is part of that file's interface.
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import ts from 'typescript';

const mostLines = 400;
/** Read by their tools, not by an import. */
const entryPoints = new Set(['src/extension.ts']);
const sourcesOf = (folder) => readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts')).map((name) => join(folder, name));
const parse = (file) => ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
const isExported = (node) => ts.canHaveModifiers(node) && (ts.getModifiers(node) ?? []).some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword);
const problems = [];

/** Names that a file exports by declaration; `export ... from` counts as an import of the other file and an export of this one. */
function exportsOf(source) {
  return source.statements.flatMap((node) => {
    if (ts.isExportDeclaration(node) && node.exportClause && ts.isNamedExports(node.exportClause)) return node.exportClause.elements.map(({ name }) => name.text);
    if (!isExported(node)) return [];
    if (ts.isVariableStatement(node)) return node.declarationList.declarations.map(({ name }) => name.getText());
    return node.name ? [node.name.text] : [];
  });
}

/** Names taken from other files: [file, name], '*' for all. */
function importsOf(source) {
  const from = dirname(source.fileName), found = [];
  const visit = (node) => {
    const specifier = (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier ? node.moduleSpecifier.text
      : ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword && ts.isStringLiteralLike(node.arguments[0]) ? node.arguments[0].text
      : ts.isImportTypeNode(node) ? node.argument.literal?.text : undefined;
    if (specifier?.startsWith('.')) {
      const file = relative('.', resolve(from, specifier));
      const clause = ts.isImportDeclaration(node) ? node.importClause?.namedBindings : ts.isExportDeclaration(node) ? node.exportClause : undefined;
      if (clause?.elements) for (const { propertyName, name } of clause.elements) found.push([file, (propertyName ?? name).text]);
      else found.push([file, '*']);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

const sources = sourcesOf('src').map(parse);
/** How often each name stands in a file. */
function countNames(source) {
  const counts = new Map();
  const visit = (node) => { if (ts.isIdentifier(node)) counts.set(node.text, (counts.get(node.text) ?? 0) + 1); ts.forEachChild(node, visit); };
  visit(source);
  return counts;
}

const used = new Set([...sources, ...['test', 'bench', 'scripts'].flatMap(sourcesOf).map(parse)].flatMap(importsOf).map((pair) => pair.join(' ')));
for (const source of sources) {
  const lines = source.text.split('\n').length - 1;
  if (lines > mostLines) problems.push(`${source.fileName} has ${lines} lines, more than ${mostLines}: split it by subject`);
  if (entryPoints.has(source.fileName) || used.has(`${source.fileName} *`)) continue;
  const counts = countNames(source);
  for (const name of exportsOf(source)) if (!used.has(`${source.fileName} ${name}`) && counts.get(name) === 1) problems.push(`${source.fileName}: nobody uses "${name}"`);
}
for (const problem of problems) console.error(problem);
process.exit(problems.length > 0 ? 1 : 0);
