/** LSTM, GRU and RNN (ONNX 14, 7): the hidden width is an axis; gates, directions and time are not to be removed. */
import { setAttribute, stringsAttribute } from '../../onnx/attributes.ts';
import type { NodeAxes } from '../nodeAxes.ts';
import type { Rule } from '../rule.ts';

const zeroAtZero = new Set(['relu', 'tanh', 'leakyrelu', 'thresholdedrelu', 'scaledtanh', 'elu', 'softsign']);
/** Whether zero weights leave the state zero: all activations of a direction but the gates' (the first, where there are several) are zero at zero. Those are Tanh unless stated. */
function staysZero({ node }: NodeAxes, gates: number): boolean {
  const count = Math.max(1, gates - 1);
  return (stringsAttribute(node, 'activations') ?? []).every((name, i) => (count > 1 && i % count === 0) || zeroAtZero.has(name.toLowerCase()));
}

/** @param gates blocks of hidden width in the weights @param biases blocks in the bias @param peepholes blocks in LSTM's input 7 */
function recurrent(gates: number, biases: number, peepholes: number): Rule {
  const relate = (n: NodeAxes): void => {
    const { axes } = n, batchFirst = n.int('layout', 0) === 1;
    const hidden = n.inAxis(2, 2), time = n.inAxis(0, batchFirst ? 1 : 0), batch = n.inAxis(0, batchFirst ? 0 : 1);
    const blocks = (input: number, count: number): void => {
      if (!n.has(input)) return;
      axes.regroup([n.inAxis(input, 1)], [axes.virtualFrozen(count, `gates of ${n.opType}`), hidden]);
      axes.freeze(n.inAxis(input, 0), `directions of ${n.opType}`);
    };
    n.contract(n.inAxis(0, 2), n.inAxis(1, 2));
    n.contract(hidden);
    blocks(1, gates);
    blocks(2, gates);
    blocks(3, biases);
    blocks(7, peepholes);
    n.generates(1, 1);
    for (const input of [1, 2]) n.cost(1, [time, batch, ...axes.axesOf(n.input(input))]);
    for (const axis of [time, batch]) axes.freeze(axis, `time or batch axis of ${n.opType}`);
    for (const input of [5, 6]) {
      if (!n.has(input)) continue;
      axes.alias(n.inAxis(input, 2), hidden);
      axes.alias(n.inAxis(input, batchFirst ? 0 : 1), batch);
      axes.freeze(n.inAxis(input, batchFirst ? 1 : 0), `directions of ${n.opType}`);
    }
    n.node.output.forEach((name, o) => {
      if (name === '') return;
      const rank = n.outputShape(o).length, out = n.outAxis(-1, o);
      for (let k = 0; k < rank - 1; k++) axes.freeze(n.outAxis(k, o), `directions, time or batch of ${n.opType}`);
      axes.alias(out, hidden);
      for (const input of [1, 2, 3]) if (n.has(input)) n.link(out, input, n.inAxis(input, 1));
      for (const input of [5, 6]) if (n.has(input)) n.link(out, input, n.inAxis(input, 2));
    });
  };
  return {
    relate, zeros: (n) => (staysZero(n, gates) ? [1, 2, 3, 5, 6] : undefined),
    rewrite: (n, edit) => { const hidden = n.inAxis(2, 2); if (edit.kept(hidden)) setAttribute(edit.node(), 'hidden_size', edit.size(hidden)); },
  };
}

export const recurrentRules: Readonly<Record<string, Rule>> = { LSTM: recurrent(4, 8, 3), GRU: recurrent(3, 6, 0), RNN: recurrent(1, 2, 0) };
