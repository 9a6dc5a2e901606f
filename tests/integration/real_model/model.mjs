// Writes a language model of a quarter of a megabyte that llama.cpp runs: a real transformer, whose weights are so that each word is
// followed by the next one of a sentence. `finite` ends after the sentence, `endless` begins it again.
//
// How it works: attention and feed-forward weights are zero, so what the last layer sees is the embedding of the last token. That of the
// n-th word is the n-th unit vector (of everything else, the 0-th), and the n-th column of the output matrix speaks for the word after it.
import {writeFileSync} from 'node:fs';

// Each word once: a vocabulary is a set.
export const words = 'A stream that nobody has limited goes on until its reader says stop .'.split(' ');

const width = 64, feedForward = 32, heads = 2, contextLength = 4096;
const special = ['<unk>', '<s>', '</s>'];
const end = 2;
const firstWord = special.length + 256;
const vocabulary = [
  ...special,
  ...Array.from({length: 256}, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
  ...words.map((word) => '\u2581' + word),
];
const tokenType = {normal: 1, unknown: 2, control: 3, byte: 6};
const types = vocabulary.map((_, token) =>
  token === 0 ? tokenType.unknown : token < special.length ? tokenType.control : token < firstWord ? tokenType.byte : tokenType.normal);

const u32 = (value) => { const b = Buffer.alloc(4); b.writeUInt32LE(value); return b; };
const i32 = (value) => { const b = Buffer.alloc(4); b.writeInt32LE(value); return b; };
const u64 = (value) => { const b = Buffer.alloc(8); b.writeBigUInt64LE(BigInt(value)); return b; };
const f32 = (value) => { const b = Buffer.alloc(4); b.writeFloatLE(value); return b; };
const text = (value) => { const b = Buffer.from(value, 'utf8'); return Buffer.concat([u64(b.length), b]); };
const flag = (value) => Buffer.from([value ? 1 : 0]);
// GGUF's value types, each with its number and how one is written.
const type = {u32: [4, u32], i32: [5, i32], f32: [6, f32], bool: [7, flag], string: [8, text]};
const one = ([number, write], value) => [u32(number), write(value)];
const many = ([number, write], values) => [u32(9), u32(number), u64(values.length), ...values.map(write)];

function metadata(kind) {
  return {
    'general.architecture': one(type.string, 'llama'),
    'general.name': one(type.string, `sentence-${kind}`),
    'general.alignment': one(type.u32, 32),
    'llama.context_length': one(type.u32, contextLength),
    'llama.embedding_length': one(type.u32, width),
    'llama.block_count': one(type.u32, 1),
    'llama.feed_forward_length': one(type.u32, feedForward),
    'llama.attention.head_count': one(type.u32, heads),
    'llama.attention.head_count_kv': one(type.u32, heads),
    'llama.attention.layer_norm_rms_epsilon': one(type.f32, 1e-5),
    'llama.rope.dimension_count': one(type.u32, width / heads),
    'llama.vocab_size': one(type.u32, vocabulary.length),
    'tokenizer.ggml.model': one(type.string, 'llama'),
    'tokenizer.ggml.tokens': many(type.string, vocabulary),
    'tokenizer.ggml.scores': many(type.f32, vocabulary.map(() => 0)),
    'tokenizer.ggml.token_type': many(type.i32, types),
    'tokenizer.ggml.unknown_token_id': one(type.u32, 0),
    'tokenizer.ggml.bos_token_id': one(type.u32, 1),
    'tokenizer.ggml.eos_token_id': one(type.u32, end),
    'tokenizer.ggml.add_bos_token': one(type.bool, true),
  };
}

function tensors(kind) {
  const embedding = new Float32Array(vocabulary.length * width);
  const output = new Float32Array(vocabulary.length * width);
  for (let token = 0; token < vocabulary.length; ++token)
    embedding[token * width + Math.max(0, token - firstWord + 1)] = 1;
  for (let n = 0; n <= words.length; ++n) {
    const next = n < words.length ? firstWord + n : kind === 'finite' ? end : firstWord;
    output[next * width + n] = 10;
  }
  const matrix = (columns, rows) => ({shape: [columns, rows], values: new Float32Array(columns * rows)});
  const ones = {shape: [width], values: new Float32Array(width).fill(1)};
  return {
    'token_embd.weight': {shape: [width, vocabulary.length], values: embedding},
    'output.weight': {shape: [width, vocabulary.length], values: output},
    'output_norm.weight': ones,
    'blk.0.attn_norm.weight': ones,
    'blk.0.attn_q.weight': matrix(width, width),
    'blk.0.attn_k.weight': matrix(width, width),
    'blk.0.attn_v.weight': matrix(width, width),
    'blk.0.attn_output.weight': matrix(width, width),
    'blk.0.ffn_norm.weight': ones,
    'blk.0.ffn_gate.weight': matrix(width, feedForward),
    'blk.0.ffn_up.weight': matrix(width, feedForward),
    'blk.0.ffn_down.weight': matrix(feedForward, width),
  };
}

const padded = (buffer) => Buffer.concat([buffer, Buffer.alloc(-buffer.length & 31)]);

/** GGUF, version 3. */
export function writeModel(path, kind) {
  const keys = Object.entries(metadata(kind)), all = Object.entries(tensors(kind));
  const head = [Buffer.from('GGUF'), u32(3), u64(all.length), u64(keys.length)];
  for (const [key, value] of keys) head.push(text(key), ...value);
  const data = [];
  let offset = 0;
  for (const [name, {shape, values}] of all) {
    head.push(text(name), u32(shape.length), ...shape.map(u64), u32(0) /* 32-bit floats */, u64(offset));
    data.push(padded(Buffer.concat(Array.from(values, f32))));
    offset += data.at(-1).length;
  }
  writeFileSync(path, Buffer.concat([padded(Buffer.concat(head)), ...data]));
}
