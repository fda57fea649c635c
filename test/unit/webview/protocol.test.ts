import { describe, expect, it } from 'vitest';
import { dashboardMessageSchema, modelViewMessageSchema } from '../../../src/webview/protocol.ts';

describe('messages from a webview', () => {
  it.each([{ type: 'ready' }, { type: 'action', action: 'stop' }, { type: 'export', episode: 3 }])('takes %j', (message) => { expect(dashboardMessageSchema.safeParse(message).success).toBe(true); });
  it.each([null, 'ready', { type: 'action', action: 'deleteRun' }, { type: 'export', episode: -1 }, { type: 'export', episode: 1.5 }, { type: 'ready', more: 1 }, { type: 'run', command: 'x' }])('refuses %j', (message) => {
    expect(dashboardMessageSchema.safeParse(message).success).toBe(false);
  });
  it('knows the two actions of the model view', () => {
    expect(modelViewMessageSchema.safeParse({ type: 'action', action: 'compress' }).success).toBe(true);
    expect(modelViewMessageSchema.safeParse({ type: 'action', action: 'stop' }).success).toBe(false);
  });
});
