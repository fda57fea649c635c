// Writes the README's table of results from docs/results.jsonl, between its markers: npm run results. With --check it only tells whether the table is up to date.
import { readFileSync, writeFileSync } from 'node:fs';

const markers = ['<!-- results: written by npm run results -->', '<!-- end of results -->'];
const rows = readFileSync('docs/results.jsonl', 'utf8').trim().split('\n').map((line) => JSON.parse(line));
const median = (values) => { const sorted = values.toSorted((a, b) => a - b), middle = sorted.length / 2; return sorted.length === 0 ? NaN : (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2; };
const of = (list, field) => median(list.map((row) => row[field]));
const percent = (value) => (Number.isNaN(value) ? 'not measured' : `${(100 * value).toFixed(2)}%`);

const ours = new Map();
for (const row of rows.filter(({ method }) => method === 'ours')) ours.set(`${row.network} ${row.macsTarget}`, [...ours.get(`${row.network} ${row.macsTarget}`) ?? [], row]);
const table = ['| network | test top-1 before | after | fine-tuned as well | MACs | parameters | time, batch 1 | minutes | seeds |', '| --- | --- | --- | --- | --- | --- | --- | --- | --- |', ...[...ours.values()].map((runs) => {
  const originals = rows.filter(({ network, method }) => method === 'original' && network === runs[0].network);
  const trained = rows.filter(({ network, macsTarget, method }) => method === 'ours, fine-tuned' && network === runs[0].network && macsTarget === runs[0].macsTarget);
  const ratios = ['macs', 'params', 'latency'].map((field) => `${of(runs, field).toFixed(2)}x`).join(' | ');
  return `| ${runs[0].network} | ${percent(of(originals, 'test'))} | ${percent(of(runs, 'test'))} | ${trained.length === 0 ? '' : percent(of(trained, 'test'))} | ${ratios} | ${Math.round(of(runs, 'seconds') / 60)} | ${runs.length} |`;
}).sort()];

const readme = readFileSync('README.md', 'utf8'), [start, end] = markers.map((marker) => readme.indexOf(marker));
if (start < 0 || end < start) { console.error(`README.md lacks ${markers.join(' and ')}`); process.exit(1); }
const wanted = `${readme.slice(0, start + markers[0].length)}\n${table.join('\n')}\n${readme.slice(end)}`;
if (!process.argv.includes('--check')) writeFileSync('README.md', wanted);
else if (readme !== wanted) { console.error('README.md: its table of results is not that of docs/results.jsonl: npm run results'); process.exit(1); }
