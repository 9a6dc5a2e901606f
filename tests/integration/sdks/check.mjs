// Calls the replay server through the official SDKs, and compares the usage that each SDK reports with the record that the guard in the
// server has made of the same bytes.
//
//   node check.mjs SERVER PACKAGES      PACKAGES: a directory with the SDKs in its node_modules
//
// Prints a row a call. Ends with 1 if any differs.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const [program, packages] = process.argv.slice(2).map((path) => resolve(path));
const require = createRequire(join(packages, 'package.json'));
const { default: OpenAI, AzureOpenAI } = require('openai');
const { default: Anthropic } = require('@anthropic-ai/sdk');
const { GoogleGenAI } = require('@google/genai');
const { Ollama } = require('ollama');
const { CohereClientV2 } = require('cohere-ai');

const replies = join(dirname(fileURLToPath(import.meta.url)), 'replies');
const server = spawn(program, [replies], { stdio: ['pipe', 'pipe', 'inherit'] });
server.on('error', (error) => {
  console.error(`${program}: ${error.message}`);
  process.exit(1);
});
let ending = false;
server.on('exit', (code, signal) => {
  if (ending) return;
  console.error(`${program} ended by itself: ${signal ?? code}`);
  process.exit(1);
});
const lines = createInterface({ input: server.stdout })[Symbol.asyncIterator]();
const origin = `http://${(await lines.next()).value.replace('listening on ', '')}`;

const at = (file, host) => `${origin}/${file}/${host}`;
const books = async () => {
  const reply = await fetch(`${origin}/books`);
  if (!reply.ok) throw new Error(`/books answered ${reply.status}`);
  return reply.json();
};

// ---- The usage of each SDK in disjoint buckets, by what the providers say their counts include.

/** Chat Completions: cached and written input lie within the prompt, reasoning within the completion. */
function chatBuckets(usage) {
  const cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
  const written = usage.prompt_tokens_details?.cache_write_tokens ?? 0;
  return {
    input: usage.prompt_tokens - cached - written,
    cache_read: cached,
    cache_write: written,
    output: usage.completion_tokens ?? 0,
    reasoning: usage.completion_tokens_details?.reasoning_tokens ?? 0,
    total: usage.total_tokens,
  };
}
/** xAI's: reasoning lies beside the completion. */
function xaiBuckets(usage) {
  const buckets = chatBuckets(usage);
  return { ...buckets, output: buckets.output + buckets.reasoning };
}
/** Responses: cached input lies within the input, reasoning within the output. */
const responsesBuckets = (usage) => ({
  input: usage.input_tokens - usage.input_tokens_details.cached_tokens,
  cache_read: usage.input_tokens_details.cached_tokens,
  output: usage.output_tokens,
  reasoning: usage.output_tokens_details.reasoning_tokens,
  total: usage.total_tokens,
});
/** Anthropic's: cache reads and writes lie beside the input, the writes told apart by how long they live. */
const anthropicBuckets = (usage) => ({
  input: usage.input_tokens,
  cache_read: usage.cache_read_input_tokens,
  cache_write: usage.cache_creation.ephemeral_5m_input_tokens,
  cache_write_1h: usage.cache_creation.ephemeral_1h_input_tokens,
  output: usage.output_tokens,
  reasoning: usage.output_tokens_details?.thinking_tokens ?? 0,
  web_searches: usage.server_tool_use?.web_search_requests ?? 0,
  total: usage.input_tokens + usage.cache_creation_input_tokens + usage.cache_read_input_tokens + usage.output_tokens,
});
/** Gemini's: cached input lies within the prompt; tool input and thoughts lie beside prompt and candidates. */
const geminiBuckets = (usage) => ({
  input: usage.promptTokenCount + (usage.toolUsePromptTokenCount ?? 0) - (usage.cachedContentTokenCount ?? 0),
  cache_read: usage.cachedContentTokenCount ?? 0,
  output: (usage.candidatesTokenCount ?? 0) + (usage.thoughtsTokenCount ?? 0),
  reasoning: usage.thoughtsTokenCount ?? 0,
  total: usage.totalTokenCount,
});
const ollamaBuckets = (usage) => ({ input: usage.prompt_eval_count, output: usage.eval_count });
/** Cohere's: what is billed, not what the model was given. */
const cohereBuckets = (units) => ({ input: units.inputTokens, output: units.outputTokens ?? 0 });

// ---- The SDKs, each with its own way to point it somewhere else.

const key = 'not-a-key';
const openai = (file, host = 'api.openai.com/v1') => new OpenAI({ apiKey: key, baseURL: at(file, host), maxRetries: 0 });
const azure = (file) =>
  new AzureOpenAI({
    apiKey: key, apiVersion: '2024-10-21', deployment: 'gpt-4o', endpoint: at(file, 'mine.openai.azure.com'), maxRetries: 0,
  });
const anthropic = (file) => new Anthropic({ apiKey: key, baseURL: at(file, 'api.anthropic.com'), maxRetries: 0 });
const google = (file) =>
  new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: at(file, 'generativelanguage.googleapis.com') } });
const ollama = (file) => new Ollama({ host: at(file, 'localhost') });
const cohere = (file) =>
  new CohereClientV2({ token: key, environment: at(file, 'api.cohere.com'), maxRetries: 0 });

const messages = [{ role: 'user', content: 'What is under the ice?' }];

// ---- The calls. Each returns what the SDK reports: usage in its own words, the same in buckets, and model and tier where it has them.

async function chat(client, request, buckets = chatBuckets) {
  const reply = await client.chat.completions.create({ messages, ...request });
  return {
    usage: reply.usage, buckets: buckets(reply.usage), model: reply.model, tier: reply.service_tier,
    text: reply.choices[0].message.content,
  };
}
async function streamedChat(client, request) {
  let usage = null, model, tier, text = '', bare = 0;
  for await (const chunk of await client.chat.completions.create({ messages, stream: true, ...request })) {
    usage = chunk.usage ?? usage;
    model = chunk.model || model;
    tier = chunk.service_tier ?? tier;
    text += chunk.choices[0]?.delta.content ?? '';
    if (chunk.choices.length === 0 && !chunk.prompt_filter_results) ++bare;
  }
  return { usage, buckets: usage && chatBuckets(usage), model, tier, text, bare };
}

const asked = { stream_options: { include_usage: true } };
const calls = [
  ['openai', 'chat', () =>
    chat(openai('openai_chat.json'), { model: 'gpt-5-mini', max_completion_tokens: 400 })],
  ['openai', 'chat, cache written, n = 2, priority', () =>
    chat(openai('openai_chat_written.json'), { model: 'gpt-5.6', n: 2, service_tier: 'priority' })],
  ['openai', 'chat, streamed', () => streamedChat(openai('openai_chat.sse'), { model: 'gpt-5-mini', ...asked })],
  ['openai', 'chat, stream helper', async () => {
    const stream = openai('openai_chat.sse').chat.completions.stream({ model: 'gpt-5-mini', messages, ...asked });
    const usage = await stream.totalUsage();
    const whole = await stream.finalChatCompletion();
    return { usage, buckets: chatBuckets(whole.usage), model: whole.model, text: whole.choices[0].message.content };
  }],
  // The guard asks, the SDK has not: the record is exact all the same, and the SDK sees nothing of it.
  ['openai', 'chat, streamed, usage not asked for', async () => {
    const seen = await streamedChat(openai('openai_chat.sse'), { model: 'gpt-5-mini' });
    if (seen.usage || seen.bare) throw new Error('the SDK was sent a usage that it had not asked for');
    const sent = readFileSync(join(replies, 'openai_chat.sse'), 'utf8').match(/"usage":(\{.*\})\}\n/)[1];
    return { ...seen, buckets: chatBuckets(JSON.parse(sent)) };
  }],
  ['openai', 'responses', async () => {
    const reply = await openai('openai_responses.json').responses.create({
      model: 'gpt-5-mini', input: 'What is under the ice?', max_output_tokens: 400, service_tier: 'flex',
    });
    return {
      usage: reply.usage, buckets: responsesBuckets(reply.usage), model: reply.model, tier: reply.service_tier,
      text: reply.output_text,
    };
  }],
  ['openai', 'responses, streamed', async () => {
    const stream = openai('openai_responses.sse').responses.stream({ model: 'gpt-5-mini', input: 'What is under the ice?' });
    const reply = await stream.finalResponse();
    return {
      usage: reply.usage, buckets: responsesBuckets(reply.usage), model: reply.model, tier: reply.service_tier,
      text: reply.output_text,
    };
  }],
  ['openai', 'embeddings', async () => {
    const reply = await openai('openai_embeddings.json').embeddings.create({
      model: 'text-embedding-3-small', input: ['esker', 'kame'],
    });
    return { usage: reply.usage, buckets: chatBuckets(reply.usage), model: reply.model, text: String(reply.data[1].embedding) };
  }],
  ['openai (Azure)', 'chat, streamed', () => streamedChat(azure('azure_chat.sse'), { model: 'gpt-4o', ...asked })],
  ['openai (at xAI)', 'chat', () =>
    chat(openai('xai_chat.json', 'api.x.ai/v1'), { model: 'grok-4', max_tokens: 300 }, xaiBuckets)],
  ['openai (local server)', 'chat', () =>
    chat(openai('openai_compatible.json', 'localhost:8000/v1'), { model: 'qwen3:4b', max_tokens: 50 })],
  ['@anthropic-ai/sdk', 'messages', async () => {
    const reply = await anthropic('anthropic_messages.json').messages.create({
      model: 'claude-sonnet-5', max_tokens: 2000, thinking: { type: 'enabled', budget_tokens: 1024 }, messages,
    });
    return {
      usage: reply.usage, buckets: anthropicBuckets(reply.usage), model: reply.model, tier: reply.usage.service_tier,
      text: reply.content[1].text,
    };
  }],
  ['@anthropic-ai/sdk', 'messages, streamed', async () => {
    const stream = anthropic('anthropic_messages.sse').messages.stream({
      model: 'claude-sonnet-5', max_tokens: 500, messages,
    });
    const reply = await stream.finalMessage();
    if (reply.content[1].input.depth !== 12) throw new Error('the tool call arrived damaged');
    return {
      usage: reply.usage, buckets: anthropicBuckets(reply.usage), model: reply.model, tier: reply.usage.service_tier,
      text: reply.content[0].text,
    };
  }],
  ['@google/genai', 'generateContent', async () => {
    const reply = await google('gemini.json').models.generateContent({
      model: 'gemini-2.5-flash', contents: 'What is under the ice?', config: { maxOutputTokens: 400 },
    });
    return {
      usage: reply.usageMetadata, buckets: geminiBuckets(reply.usageMetadata), model: reply.modelVersion, text: reply.text,
    };
  }],
  ['@google/genai', 'streamGenerateContent', async () => {
    let last, text = '';
    const stream = await google('gemini.sse').models.generateContentStream({
      model: 'gemini-2.5-flash', contents: 'What is under the ice?',
    });
    for await (const chunk of stream) {
      last = chunk;
      text += chunk.text ?? '';
    }
    return { usage: last.usageMetadata, buckets: geminiBuckets(last.usageMetadata), model: last.modelVersion, text };
  }],
  ['ollama', 'chat', async () => {
    const reply = await ollama('ollama_chat.json').chat({ model: 'qwen3:4b', messages, stream: false, options: { num_predict: 40 } });
    return { usage: counts(reply), buckets: ollamaBuckets(reply), model: reply.model, text: reply.message.content };
  }],
  ['ollama', 'chat, streamed', async () => {
    let last, text = '';
    for await (const part of await ollama('ollama_chat.ndjson').chat({ model: 'qwen3:4b', messages, stream: true })) {
      last = part;
      text += part.message.content;
    }
    return { usage: counts(last), buckets: ollamaBuckets(last), model: last.model, text };
  }],
  ['ollama', 'generate, streamed', async () => {
    let last, text = '';
    const stream = await ollama('ollama_generate.ndjson').generate({ model: 'qwen3:4b', prompt: 'Finer than sand?', stream: true });
    for await (const part of stream) {
      last = part;
      text += part.response;
    }
    return { usage: counts(last), buckets: ollamaBuckets(last), model: last.model, text };
  }],
  ['cohere-ai', 'v2 chat', async () => {
    const reply = await cohere('cohere_chat.json').chat({ model: 'command-a-03-2025', messages, maxTokens: 60 });
    return { usage: reply.usage.billedUnits, buckets: cohereBuckets(reply.usage.billedUnits), text: reply.message.content[0].text };
  }],
  ['cohere-ai', 'v2 chat, streamed', async () => {
    let end, text = '';
    for await (const event of await cohere('cohere_chat.sse').chatStream({ model: 'command-a-03-2025', messages })) {
      if (event.type === 'content-delta') text += event.delta.message.content.text;
      if (event.type === 'message-end') end = event.delta;
    }
    return { usage: end.usage.billedUnits, buckets: cohereBuckets(end.usage.billedUnits), text };
  }],
  ['cohere-ai', 'v2 embed', async () => {
    const reply = await cohere('cohere_embed.json').embed({
      model: 'embed-v4.0', inputType: 'search_document', embeddingTypes: ['float'], texts: ['esker', 'kame'],
    });
    return { usage: reply.meta.billedUnits, buckets: cohereBuckets(reply.meta.billedUnits), text: String(reply.embeddings.float[1]) };
  }],
];

function counts({ prompt_eval_count, eval_count }) {
  return { prompt_eval_count, eval_count };
}

/** The counts in an object, by their own names, the zeros left out. */
function words(usage) {
  const list = [];
  const walk = (object) => {
    for (const [name, value] of Object.entries(object)) {
      if (typeof value === 'number' && value !== 0) list.push(`${name} ${value}`);
      if (value && typeof value === 'object' && !Array.isArray(value)) walk(value);
    }
  };
  walk(usage ?? {});
  return list.join(', ') || 'none';
}

const rows = [];
let records = 0, spent = 0;
for (const [sdk, call, make] of calls) {
  const row = { sdk, call, reported: '', booked: '', differences: [] };
  rows.push(row);
  try {
    const seen = await make();
    row.reported = words(seen.usage);
    const now = await books();
    const { usage, ...record } = now.newest;
    row.booked = `${words(usage)}, ${record.usd}`;
    const compare = (what, reported, booked) => {
      if (reported !== booked) row.differences.push(`${what}: reported ${reported}, booked ${booked}`);
    };
    // A bucket that this provider does not have must be empty; where it reports no total, ours is the sum.
    for (const name of ['input', 'cache_read', 'cache_write', 'cache_write_1h', 'output', 'reasoning', 'web_searches'])
      compare(name, seen.buckets[name] ?? 0, usage[name]);
    compare('total', seen.buckets.total ?? seen.buckets.input + seen.buckets.output, usage.total);
    if (seen.model) compare('model', seen.model, record.model);
    if (seen.tier) compare('service tier', seen.tier, record.service_tier);
    compare('status', 'settled', record.status);
    compare('records', ++records, now.records);
    compare('spent', (spent += record.usd_nanos), now.spent_nanos);
    compare('reserved', 0, now.reserved_nanos);
    if (!seen.text) row.differences.push('the SDK got no answer');
  } catch (error) {
    row.differences.push(String(error?.message ?? error).slice(0, 300));
    records = await books().then((now) => ((spent = now.spent_nanos), now.records), () => records);
  }
}
ending = true;
server.stdin.end();

/** Of an SDK's package.json: its exports may hide it from require. */
const version = (name) => JSON.parse(readFileSync(join(packages, 'node_modules', name, 'package.json'))).version;
const sdks = ['openai', '@anthropic-ai/sdk', '@google/genai', 'ollama', 'cohere-ai'];
console.log(`${sdks.map((name) => `${name} ${version(name)}`).join(', ')}; node ${process.versions.node}\n`);
const table = [['SDK', 'call', "the SDK's usage", 'our record', 'agree']];
for (const row of rows) table.push([row.sdk, row.call, row.reported, row.booked, row.differences.length ? 'NO' : 'yes']);
for (const row of table) console.log(`| ${row.join(' | ')} |`);
console.log();
for (const row of rows) for (const difference of row.differences) console.log(`${row.sdk}, ${row.call}: ${difference}`);
const agreed = rows.filter((row) => row.differences.length === 0).length;
console.log(`${agreed} of ${rows.length} calls agree`);
process.exitCode = agreed === rows.length ? 0 : 1;
