// The official SDKs under `outlay run`, each as a program of its own that knows nothing of it: plain calls and streams until the cap, what the
// refusal is to the program, that nothing is tried again, and what a stream that is cut looks like.
//
//   node sdks.mjs OUTLAY PACKAGES      PACKAGES: a directory with the SDKs in its node_modules
//
// Prints a line a check. Ends with 1 if any fails.
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const [outlay, packages, role] = process.argv.slice(2);
const require = createRequire(join(resolve(packages), 'package.json'));

// ---- The programs: what a user of an SDK writes. What they saw goes to standard output as JSON.

const describe = (error) => ({ type: error.constructor.name, status: error.status, message: error.message });
const most = 50;

const programs = {
  async 'openai plain'() {
    const { default: OpenAI } = require('openai');
    const client = new OpenAI({ apiKey: 'sk-test' });
    for (let calls = 0; calls < most; ++calls) {
      try {
        await client.chat.completions.create({ model: 'gpt-4o', max_completion_tokens: 100, messages: [{ role: 'user', content: 'Hi' }] });
      } catch (error) {
        return { calls, error: describe(error) };
      }
    }
    return { calls: most };
  },
  async 'openai streams'() {
    const { default: OpenAI } = require('openai');
    const client = new OpenAI({ apiKey: 'sk-test' });
    const texts = new Set();
    for (let calls = 0; calls < most; ++calls) {
      try {
        let text = '';
        let usage = 0;
        const stream = await client.chat.completions.create({ model: 'gpt-4o', max_completion_tokens: 100, stream: true, messages: [{ role: 'user', content: 'Hi' }] });
        for await (const chunk of stream) {
          text += chunk.choices[0].delta.content ?? ''; // no chunk without choices: the program has not asked for a usage
          if (chunk.usage) ++usage;
        }
        texts.add(`${text} ${usage}`);
      } catch (error) {
        return { calls, texts: [...texts], error: describe(error) };
      }
    }
    return { calls: most, texts: [...texts] };
  },
  async 'openai is cut'() {
    const { default: OpenAI } = require('openai');
    const client = new OpenAI({ apiKey: 'sk-test' });
    let pieces = 0;
    try {
      const stream = await client.chat.completions.create({ model: 'gpt-4o', stream: true, messages: [{ role: 'user', content: 'endless' }] });
      for await (const chunk of stream) if (chunk.choices[0].delta.content) ++pieces;
    } catch (error) {
      return { pieces, error: describe(error) };
    }
    return { pieces };
  },
  async 'anthropic plain'() {
    const { default: Anthropic } = require('@anthropic-ai/sdk');
    const client = new Anthropic({ apiKey: 'sk-test' });
    for (let calls = 0; calls < most; ++calls) {
      try {
        await client.messages.create({ model: 'claude-sonnet-4-5', max_tokens: 100, messages: [{ role: 'user', content: 'Hi' }] });
      } catch (error) {
        return { calls, error: describe(error) };
      }
    }
    return { calls: most };
  },
  async 'anthropic streams'() {
    const { default: Anthropic } = require('@anthropic-ai/sdk');
    const client = new Anthropic({ apiKey: 'sk-test' });
    const texts = new Set();
    for (let calls = 0; calls < most; ++calls) {
      try {
        const message = await client.messages.stream({ model: 'claude-sonnet-4-5', max_tokens: 100, messages: [{ role: 'user', content: 'Hi' }] }).finalMessage();
        texts.add(message.content[0].text);
      } catch (error) {
        return { calls, texts: [...texts], error: describe(error) };
      }
    }
    return { calls: most, texts: [...texts] };
  },
};

if (role) {
  console.log(JSON.stringify(await programs[role]()));
  process.exit(0);
}

// ---- The provider: answers both APIs from memory, and counts.

let served = 0;
const sse = (events) => events.map(([type, data]) => (type ? `event: ${type}\n` : '') + `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`).join('');
const chunk = (delta, finish = null) => ({ id: 'c1', object: 'chat.completion.chunk', created: 1, model: 'gpt-4o-2024-08-06', choices: [{ index: 0, delta, finish_reason: finish }] });
const openaiUsage = { prompt_tokens: 20, completion_tokens: 5, total_tokens: 25 };
const provider = createServer((request, response) => {
  let body = '';
  request.on('data', (piece) => (body += piece));
  request.on('end', () => {
    ++served;
    const asked = JSON.parse(body);
    response.setHeader('content-type', asked.stream ? 'text/event-stream' : 'application/json');
    if (request.url === '/v1/chat/completions') {
      if (asked.messages[0].content === 'endless') {
        const more = () => {
          while (!response.destroyed && response.write(sse([['', chunk({ content: 'and so on and so forth ' })]])));
        };
        response.on('drain', more);
        more();
      } else if (asked.stream) {
        response.end(sse([
          ['', chunk({ role: 'assistant', content: 'It ' })],
          ['', chunk({ content: 'rains.' })],
          ['', chunk({}, 'stop')],
          ...(asked.stream_options?.include_usage ? [['', { ...chunk({}), choices: [], usage: openaiUsage }]] : []),
          ['', '[DONE]'],
        ]));
      } else {
        response.end(JSON.stringify({ id: 'c1', object: 'chat.completion', created: 1, model: 'gpt-4o-2024-08-06', choices: [{ index: 0, message: { role: 'assistant', content: 'It rains.' }, finish_reason: 'stop' }], usage: openaiUsage }));
      }
    } else if (request.url === '/v1/messages') {
      const message = { id: 'm1', type: 'message', role: 'assistant', model: 'claude-sonnet-4-5', content: [], stop_reason: null, stop_sequence: null, usage: { input_tokens: 20, output_tokens: 1 } };
      if (asked.stream) {
        response.end(sse([
          ['message_start', { type: 'message_start', message }],
          ['content_block_start', { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }],
          ['content_block_delta', { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'It rains.' } }],
          ['content_block_stop', { type: 'content_block_stop', index: 0 }],
          ['message_delta', { type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 5 } }],
          ['message_stop', { type: 'message_stop' }],
        ]));
      } else {
        response.end(JSON.stringify({ ...message, content: [{ type: 'text', text: 'It rains.' }], stop_reason: 'end_turn', usage: { input_tokens: 20, output_tokens: 5 } }));
      }
    } else {
      response.statusCode = 404;
      response.end('{}');
    }
  });
});
await new Promise((listening) => provider.listen(0, '127.0.0.1', listening));
const origin = `http://127.0.0.1:${provider.address().port}`;

// ---- The checks.

const run = (name, cap) =>
  new Promise((ended) => {
    served = 0;
    const child = spawn(outlay, ['run', ...cap, '--', process.execPath, fileURLToPath(import.meta.url), outlay, packages, name], {
      env: { ...process.env, OPENAI_BASE_URL: `${origin}/v1`, ANTHROPIC_BASE_URL: origin },
    });
    let out = '';
    let err = '';
    child.stdout.on('data', (piece) => (out += piece));
    child.stderr.on('data', (piece) => (err += piece));
    child.on('close', (code) => ended({ code, line: err.trim(), ...(out ? JSON.parse(out) : {}) }));
  });

let failed = 0;
const check = (what, holds, seen) => {
  console.log(`${holds ? 'ok    ' : 'FAILED'} ${what}${holds ? '' : `: ${JSON.stringify(seen)}`}`);
  if (!holds) ++failed;
};

for (const [name, usd] of [['openai plain', '0.002'], ['openai streams', '0.002'], ['anthropic plain', '0.0025'], ['anthropic streams', '0.0025']]) {
  const seen = await run(name, ['--usd', usd]);
  check(`${name}: some calls, then RateLimitError with status 429`, seen.code === 0 && seen.calls > 1 && seen.calls < most && seen.error?.type === 'RateLimitError' && seen.error.status === 429, seen);
  check(`${name}: the message is the refusal`, /budget \\?"run\\?" refused (gpt-4o|claude-sonnet-4-5): this call needs up to/.test(seen.error?.message ?? ''), seen);
  check(`${name}: nothing was tried again, and the provider has seen what was answered`, served === seen.calls && seen.line.includes(` in ${seen.calls} calls (1 refused); the cap was reached`), { served, ...seen });
  if (seen.texts) check(`${name}: each stream was whole, without a usage that was not asked for`, seen.texts.length === 1 && seen.texts[0].startsWith('It rains.') && !seen.texts[0].endsWith(' 1'), seen);
}
const cut = await run('openai is cut', ['--tokens', '600']);
check('openai is cut: the stream throws in its middle', cut.pieces > 10 && /budget \\?"run\\?"/.test(cut.error?.message ?? ''), cut);
check('openai is cut: the line says so', cut.line.includes('1 cut') && served === 1, { served, ...cut });

provider.closeAllConnections();
provider.close();
process.exitCode = failed ? 1 : 0;
