import { describe, expect, it } from 'vitest';
import { layerFigures, layerHeadings, layersTitle } from '../../../src/webview/client/layerFigures.ts';
import { type LayerRow, emptyRunView, methodOf } from '../../../src/webview/client/state.ts';
import { sampleReport, sparseReport } from '../../support/sampleReport.ts';

const row: LayerRow = { name: 'conv', opType: 'Conv', channelsBefore: 16, channelsAfter: 16, macsShare: 0.25, frozen: false };

describe('the figures of a layer', () => {
  it('are its channels where channels go', () => {
    expect(layerFigures({ ...row, channelsAfter: 4, weightSparsity: 0.01 }, 'channels')).toEqual({ fraction: 0.25, kept: '4 / 16', removed: '-75%', share: '25.0%', all: 'conv (Conv), 4 of 16 channels kept, 25.0% of the MACs, 1.0% of its weights are zero' });
    expect(layerFigures({ ...row, weightSparsity: 0.25 }, 'channels'), 'zeros that were there').toMatchObject({ fraction: 1, kept: '16 / 16', removed: '0%' });
    expect(layerFigures({ ...row, frozen: true }, 'channels')).toMatchObject({ fraction: 1, kept: '16 / 16', removed: 'frozen' });
  });

  it('are its weights where single ones go', () => {
    expect(layerFigures({ ...row, weightSparsity: 0.8 }, 'weights')).toMatchObject({ kept: '20.0%', removed: '-80%', all: 'conv (Conv), 20.0% of its weights kept, 25.0% of the MACs' });
    expect(layerFigures({ ...row, weightSparsity: 0.8 }, 'weights').fraction).toBeCloseTo(0.2, 9);
    expect([layerHeadings('weights').titles[1], layerHeadings('channels').titles[1], layersTitle(undefined, 'weights')]).toEqual(['Weights kept', 'Channels kept', 'Weights of the original']);
  });

  it('go by what the report says was removed, as the options of a run of the command line are not known', () => {
    expect([methodOf(emptyRunView, 'weights'), methodOf(emptyRunView, undefined), methodOf({ ...emptyRunView, report: sparseReport }, undefined), methodOf({ ...emptyRunView, report: sampleReport }, undefined)]).toEqual(['weights', 'channels', 'weights', 'channels']);
  });
});
