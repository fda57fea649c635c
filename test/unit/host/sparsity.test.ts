import { describe, expect, it } from 'vitest';
import { planGroups, planNotes } from '../../../src/host/planText.ts';
import { reportMarkdown } from '../../../src/host/reportText.ts';
import { type LayerChange, bar, changeLabel, changeText, changesTable, changesText } from '../../../src/host/sparsity.ts';
import { sampleReport, sparseReport } from '../../support/sampleReport.ts';

const change = (channelsBefore: number, channelsAfter: number, weightSparsity = 0): LayerChange =>
  ({ name: '/a|b/Conv', opType: 'Conv', weight: 'w', weightShape: [], channelsBefore, channelsAfter, weightSparsity, macsBefore: 2000, macsAfter: 1000 });

describe('what is said of a layer', () => {
  it.each([[change(64, 36), '-44% (64 -> 36 channels)'], [change(64, 64), 'all 64 channels'], [change(64, 64, 0.5), '-50% weights']])('%#: %s', (layer, text) => { expect(changeText(layer)).toBe(text); });
  it('draws what is kept', () => {
    expect([bar(1), bar(0.5), bar(0.01)].map((cells) => cells.split('\u25B0').length - 1)).toEqual([8, 4, 0]);
    expect(changeLabel(change(64, 16))).toBe('\u25B0\u25B0\u25B1\u25B1\u25B1\u25B1\u25B1\u25B1 -75% (64 -> 16 channels)');
  });
  it('says one thing of a definition that makes several layers', () => {
    expect(changesText([change(16, 12)])).toBe('-25% (16 -> 12 channels)');
    expect(changesText([change(16, 12), change(32, 16), change(8, 8)])).toBe('-0% to -50% in 3 layers');
    expect(changesText([change(16, 8), change(32, 16)])).toBe('-50% in 2 layers');
  });
  it('says of single weights what went of them', () => {
    expect(changeLabel(change(64, 64, 0.75))).toBe('\u25B0\u25B0\u25B1\u25B1\u25B1\u25B1\u25B1\u25B1 -75% weights');
    expect(changesText([change(64, 64, 0.8), change(32, 32, 0.9), change(8, 8)])).toBe('-0% to -90% weights in 3 layers');
    expect(changesText([change(64, 64, 0.8), change(32, 32, 0.8)])).toBe('-80% weights in 2 layers');
    expect(changesText([change(8, 8), change(16, 16)])).toBe('-0% in 2 layers');
  });
  it('keeps a layer name from breaking the table of a hover', () => {
    expect(changesTable([change(16, 8)]).split('\n')[2]).toBe('| `/a\\|b/Conv` | 16 -> 8 | 2,000 -> 1,000 | 0% |');
  });
});

describe('planGroups', () => {
  it('finds the groups of a plan where they stand', () => {
    const text = '{ "groups": [\n { "id": "g", "name": "conv1", "channels": 4, "kept": [0, 2], "producers": [{ "initializer": "w", "axis": 0, "kept": [0, 2] }] },\n { "id": "h", "channels": 2, "kept": [0, 1] } ] }';
    const groups = planGroups(text);
    expect(groups.map(({ name, channels, kept }) => [name, channels, kept])).toEqual([['conv1', 4, 2], ['h', 2, 2]]);
    expect(text.slice(groups[0]!.offset, groups[0]!.end)).toBe('"conv1"');
  });
  it('finds the tensors whose single weights go, and then leaves out groups that keep all', () => {
    const groups = '"groups": [{ "id": "g", "channels": 4, "kept": [0, 1, 2, 3] }, { "id": "h", "channels": 4, "kept": [0] }]', weights = '"weights": [{ "initializer": "w", "preserve": 0.25 }, { "initializer": 1 }, 2]';
    const text = `{ ${groups}, ${weights} }`, notes = planNotes(text);
    expect(notes.map(({ name, label, text: words }) => [name, label.split(' ')[0]!.split('\u25B0').length - 1, words])).toEqual([['h', 2, '-75% (4 -> 1 channels)'], ['w', 2, '-75% weights']]);
    expect(text.slice(notes[1]!.offset)).toMatch(/^"w"/);
    expect(planNotes(`{ ${groups} }`).map(({ text: words }) => words)).toEqual(['all 4 channels', '-75% (4 -> 1 channels)']);
  });
  it.each(['', '{', '[]', '{"groups": 1}', '{"groups": [{"name": "x", "channels": 0, "kept": []}]}', '{"groups": [{"name": "x", "channels": 4'])('shows nothing in %j', (text) => { expect(planGroups(text)).toEqual([]); });
});

describe('reportMarkdown', () => {
  it('says first what was won and lost', () => {
    const text = reportMarkdown(sampleReport);
    expect(text.split('\n')[2]).toBe('**2.0x fewer MACs, 2.00x faster on this machine, 0.6 points of accuracy lost on 5,000 images.**');
    expect(text).toContain('| /conv1/Conv | Conv | 64 -> 36 | 30,000,000 -> 16,000,000 | 0.0% |');
    expect(text).toContain('## Agent and baselines, repaired alike\n\n| Policy | MACs | Accuracy |\n| --- | ---: | ---: |\n| agent | 49.0% | 90.00% |\n| uniform | 50.0% | 88.00% |');
  });
  it.each([[0.94, '1.3 points of accuracy won', '+1.30 points'], [0.927, '0.0 points of accuracy lost', '| 0.00 points'], [0.9271, '0.0 points of accuracy lost', '+0.01 points']])('says so where accuracy is %d after 0.927', (value, sentence, change) => {
    const text = reportMarkdown({ ...sampleReport, after: { ...sampleReport.after, accuracy: { ...sampleReport.after.accuracy, value } } });
    expect(text.split('\n')[2]).toContain(`, ${sentence} on 5,000 images.`);
    expect(text).toContain(change);
  });
  it('tells of single weights what changed: neither the file nor its time', () => {
    const text = reportMarkdown(sparseReport);
    expect(text.split('\n')[2]).toBe('**5.0x fewer weights that are not zero, 4.0x smaller in a zip, 0.6 points of accuracy lost on 5,000 images.**');
    expect(text).toContain('| Weights that are not zero | 250,000 | 50,000 | 5.00x fewer |');
    expect(text).toContain('| File in a zip | 960 kB | 240 kB | 4.00x smaller |');
    expect(text).toContain('| Policy | MACs of weights that are not zero | Accuracy |');
  });
});
