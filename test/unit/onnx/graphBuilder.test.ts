import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../../../src/engine/onnx/graphBuilder.ts';
import { Session, floats } from '../../../src/engine/runtime/session.ts';

describe('GraphBuilder', () => {
  it("gives no node the name of another's, which onnxruntime refuses", async () => {
    const first = new GraphBuilder();
    first.op('Neg', [first.input('x', [2])]);
    Object.assign(first.nodes[0]!, { name: 'Relu', output: ['y'] });
    first.output('y', 'negative', [2]);
    const second = new GraphBuilder(first.model());
    second.output(second.op('Relu', ['y']), 'positive', [2]);
    const session = await Session.create(second.model());
    expect((await session.run({ x: floats(Float32Array.of(-3, 2), [2]) }))['positive']!.data).toEqual(Float32Array.of(3, 0));
    await session.release();
  });

  it('declares the operator sets that it was asked for, once', () => {
    const build = new GraphBuilder(), x = build.input('x', [1, 16, 2, 2]), once = build.opOf('com.microsoft.nchwc', 'ReorderInput', [x]);
    build.opOf('com.microsoft.nchwc', 'ReorderOutput', [once], { channels: 16 });
    expect(build.model().opsetImport.map(({ domain, version }) => `${domain} ${version}`)).toEqual([' 17', 'com.microsoft.nchwc 1']);
    expect(new GraphBuilder(build.model()).model().opsetImport).toHaveLength(2);
  });
});
