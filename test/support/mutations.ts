import { Random } from '../../src/engine/numerics/random.ts';

const numbers = ['0', '-1', '4294967296', '99999999999999999999', '1e400', 'NaN', '""', '[]', '{}', 'null', '0.5'];
const integers = [0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffff0, 0x00ffffff, 0x10000];

/** A damaged copy of a file, determined by the seed: cut short, bits flipped, bytes inserted, removed or repeated, sizes made huge, numbers in text replaced. */
export function mutate(original: Uint8Array, seed: number): Buffer {
  const random = new Random(seed);
  let bytes = Buffer.from(original);
  for (let round = 1 + random.integer(3); round > 0; round--) {
    const at = random.integer(Math.max(1, bytes.length)), length = 1 + random.integer(Math.min(64, Math.max(1, bytes.length - at)));
    const headerAt = random.integer(Math.min(128, Math.max(1, bytes.length))), tailAt = Math.max(0, bytes.length - 1 - random.integer(128));
    const spot = [at, headerAt, tailAt][random.integer(3)]!; // headers and directories stand at the ends
    switch (random.integer(8)) {
      case 0: bytes = bytes.subarray(0, spot); break;
      case 1: for (let flips = 1 + random.integer(8); flips > 0 && bytes.length > 0; flips--) bytes[(spot + random.integer(16)) % bytes.length]! ^= 1 << random.integer(8); break;
      case 2: bytes.fill([0, 0xff, 0x20, 0x7b][random.integer(4)]!, spot, Math.min(bytes.length, spot + length)); break;
      case 3: bytes = Buffer.concat([bytes.subarray(0, spot), bytes.subarray(spot + length)]); break;
      case 4: bytes = Buffer.concat([bytes.subarray(0, spot), bytes.subarray(at, at + length), bytes.subarray(spot)]); break;
      case 5: if (spot + 4 <= bytes.length) bytes.writeUInt32LE(integers[random.integer(integers.length)]!, spot); break;
      case 6: if (spot + 4 <= bytes.length) bytes.writeUInt32BE(integers[random.integer(integers.length)]!, spot); break;
      default: {
        const runs = [...bytes.toString('latin1').matchAll(/\d+/g)], run = runs[random.integer(Math.max(1, runs.length))];
        if (run) bytes = Buffer.concat([bytes.subarray(0, run.index), Buffer.from(numbers[random.integer(numbers.length)]!), bytes.subarray(run.index + run[0].length)]);
      }
    }
    bytes = Buffer.from(bytes);
  }
  return bytes;
}
