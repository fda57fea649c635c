import * as ort from 'onnxruntime-node';
import { readFileSync, readdirSync } from 'node:fs';
import { loadModel, encodeModel } from '../src/engine/onnx/modelFile.ts';
import { Session, floats, type Tensor } from '../src/engine/runtime/session.ts';
import { finetuneDefaults } from '../src/engine/training/finetune.ts';
import { classificationLoss, labelsName, logitsOf } from '../src/engine/training/losses.ts';
import { Trainer } from '../src/engine/training/trainer.ts';
const model = (await loadModel(process.argv[2]!)).proto; const B = 64;
let captured: any; let prof: any;
const orig = Session.create.bind(Session);
(Session as any).create = async (m: any, o: any) => { captured = m; return orig(m, o); };
const dims = [B, 3, 32, 32];
const trainer = await Trainer.create(model, { ...finetuneDefaults, optimizer: 'adamw', threads: 1, inputShapes: { [model.graph.input[0]!.name]: dims }, loss: classificationLoss(logitsOf(model), { distillation: 0, temperature: 1 }) });
const bytes = Buffer.concat(encodeModel(captured));
console.log('nodes', captured.graph.node.length);
prof = await ort.InferenceSession.create(bytes, { intraOpNumThreads: 1, enableProfiling: true, profileFilePrefix: '/tmp/ad/prof' } as any);
(trainer as any).session = { run: async (f: Record<string, Tensor>, _o: any) => prof.run(Object.fromEntries(Object.entries(f).map(([k, t]) => [k, new ort.Tensor(t.type as any, t.data as any, t.dims)]))) };
const img = floats(new Float32Array(B * 3072).map(() => Math.random() - .5), dims);
const cpu: number[] = [];
for (let i = 0; i < 5; i++) { const a = process.cpuUsage(); await (trainer as any).step({ [model.graph.input[0]!.name]: img, [labelsName]: { type: 'int64', dims: [B], data: new BigInt64Array(B) } }, 1e-9).catch(() => 0); const u = process.cpuUsage(a); cpu.push((u.user + u.system) / 1000); }
prof.endProfiling();
const fwd = await orig(model, { threads: 1 }); const fc: number[] = [];
for (let i = 0; i < 5; i++) { const a = process.cpuUsage(); await fwd.run({ [model.graph.input[0]!.name]: img }); const u = process.cpuUsage(a); fc.push((u.user + u.system) / 1000); }
console.log('step cpu', Math.min(...cpu).toFixed(0), 'forward cpu', Math.min(...fc).toFixed(0), 'ratio', (Math.min(...cpu) / Math.min(...fc)).toFixed(2));
const file = readdirSync('/tmp/ad').filter((f) => f.startsWith('prof')).sort().at(-1)!;
const ev = JSON.parse(readFileSync('/tmp/ad/' + file, 'utf8')) as { name: string; dur: number; cat: string; args?: Record<string, any> }[];
const by = new Map<string, { n: number; us: number }>();
const shapes = new Map<string, { n: number; us: number }>();
for (const e of ev) if (e.cat === 'Node' && e.name.endsWith('_kernel_time')) {
  const op = e.args!['op_name']; const a = by.get(op) ?? { n: 0, us: 0 }; a.n++; a.us += e.dur; by.set(op, a);
  const key = op + ' ' + JSON.stringify((e.args!['input_type_shape'] ?? []).map((x: any) => Object.values(x)[0])).slice(0, 90) + '->' + JSON.stringify((e.args!['output_type_shape'] ?? []).map((x: any) => Object.values(x)[0])).slice(0, 40); const s = shapes.get(key) ?? { n: 0, us: 0 }; s.n++; s.us += e.dur; shapes.set(key, s);
}
const show = (m: Map<string, { n: number; us: number }>, k: number) => { for (const [op, { n, us }] of [...m].sort((p, q) => q[1].us - p[1].us).slice(0, k)) console.log((us / 5000).toFixed(1).padStart(8), 'ms', String(n / 5).padStart(5), op); };
show(by, 22); console.log(); show(shapes, 30);
process.exit(0);
