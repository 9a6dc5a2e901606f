// A provider of six APIs that answers from memory. What it does, the question says:
//
//   Hi        an answer, 20 tokens in and 5 out
//   weather   a call of the tool "weather"
//   endless   a stream that goes on until the client closes
//   breaks    a stream, or a body, of which the connection breaks in the middle
//   waits     the beginning of a stream, then silence until the client closes
//   fails     500 to the first request, an answer to the second
import { createServer } from 'node:http';

const tool = { name: 'weather', text: '{"city":"Oslo"}', input: { city: 'Oslo' } };

const openaiChunk = (delta, finish = null, more = {}) => ({
  id: 'c1', object: 'chat.completion.chunk', created: 1, model: 'gpt-4o-2024-08-06', choices: [{ index: 0, delta, finish_reason: finish }], ...more,
});
const openaiUsage = { prompt_tokens: 20, completion_tokens: 5, total_tokens: 25 };
const openaiTool = { id: 't1', type: 'function', function: { name: tool.name, arguments: tool.text } };
const openaiMessage = (message, finish, more = {}) => ({
  id: 'c1', object: 'chat.completion', created: 1, model: 'gpt-4o-2024-08-06', choices: [{ index: 0, message: { role: 'assistant', ...message }, finish_reason: finish }], usage: openaiUsage, ...more,
});

const anthropicMessage = { id: 'm1', type: 'message', role: 'assistant', model: 'claude-sonnet-5', content: [], stop_reason: null, stop_sequence: null, usage: { input_tokens: 20, output_tokens: 1 } };
const anthropicEnd = (reason) => [
  { type: 'content_block_stop', index: 0 },
  { type: 'message_delta', delta: { stop_reason: reason, stop_sequence: null }, usage: { output_tokens: 5 } },
  { type: 'message_stop' },
];

const geminiPart = (part, finish, usage) => ({
  candidates: [{ index: 0, content: { role: 'model', parts: [part] }, ...(finish && { finishReason: finish }) }],
  ...(usage && { usageMetadata: { promptTokenCount: 20, candidatesTokenCount: 5, totalTokenCount: 25 } }), modelVersion: 'gemini-2.5-flash', responseId: 'g1',
});

const cohereUsage = { billed_units: { input_tokens: 20, output_tokens: 5 }, tokens: { input_tokens: 20, output_tokens: 5 } };
const cohereTool = { id: 't1', type: 'function', function: { name: tool.name, arguments: tool.text } };

const mistral = { id: 'x1', object: 'chat.completion.chunk', created: 1, model: 'mistral-large-latest' };
const mistralChunk = (delta, finish = null, usage = undefined) => ({ ...mistral, choices: [{ index: 0, delta, finish_reason: finish }], usage });

const ollamaPart = (message, last = false) => ({
  model: 'qwen3:4b', created_at: '2026-10-01T10:00:00Z', message: { role: 'assistant', content: '', ...message }, done: last,
  ...(last && { done_reason: 'stop', prompt_eval_count: 20, eval_count: 5, total_duration: 1, load_duration: 1, prompt_eval_duration: 1, eval_duration: 1 }),
});

// Of each API: where it is, what was asked, whether as a stream, the whole answers, and the events of the streams.
const apis = [
  {
    name: 'openai', path: '/v1/chat/completions', streams: (body) => body.stream === true,
    whole: { text: openaiMessage({ content: 'It rains.' }, 'stop'), tool: openaiMessage({ content: null, tool_calls: [openaiTool] }, 'tool_calls') },
    events: (kind, body) => [
      ...(kind === 'tool'
        ? [openaiChunk({ role: 'assistant', content: null, tool_calls: [{ index: 0, ...openaiTool, function: { name: tool.name, arguments: '' } }] }),
           openaiChunk({ tool_calls: [{ index: 0, function: { arguments: tool.text.slice(0, 6) } }] }), openaiChunk({ tool_calls: [{ index: 0, function: { arguments: tool.text.slice(6) } }] }),
           openaiChunk({}, 'tool_calls')]
        : [openaiChunk({ role: 'assistant', content: 'It ' }), openaiChunk({ content: 'rains.' }), openaiChunk({}, 'stop')]),
      ...(body.stream_options?.include_usage ? [{ ...openaiChunk({}), choices: [], usage: openaiUsage }] : []), '[DONE]',
    ],
    more: openaiChunk({ content: 'and so on and so forth ' }), error: { error: { message: 'on fire', type: 'server_error', param: null, code: null } },
  },
  {
    name: 'anthropic', path: '/v1/messages', streams: (body) => body.stream === true, named: true,
    whole: {
      text: { ...anthropicMessage, content: [{ type: 'text', text: 'It rains.' }], stop_reason: 'end_turn', usage: { input_tokens: 20, output_tokens: 5 } },
      tool: { ...anthropicMessage, content: [{ type: 'tool_use', id: 't1', name: tool.name, input: tool.input }], stop_reason: 'tool_use', usage: { input_tokens: 20, output_tokens: 5 } },
    },
    events: (kind) => [
      { type: 'message_start', message: anthropicMessage },
      ...(kind === 'tool'
        ? [{ type: 'content_block_start', index: 0, content_block: { type: 'tool_use', id: 't1', name: tool.name, input: {} } },
           { type: 'content_block_delta', index: 0, delta: { type: 'input_json_delta', partial_json: tool.text } }, ...anthropicEnd('tool_use')]
        : [{ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
           { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'It rains.' } }, ...anthropicEnd('end_turn')]),
    ],
    more: { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'and so on and so forth ' } }, error: { type: 'error', error: { type: 'api_error', message: 'on fire' } },
  },
  {
    name: 'gemini', path: '/v1beta/models/gemini-2.5-flash:', streams: (body, url) => url.includes(':streamGenerateContent'),
    whole: { text: geminiPart({ text: 'It rains.' }, 'STOP', true), tool: geminiPart({ functionCall: { name: tool.name, args: tool.input } }, 'STOP', true) },
    events: (kind) => (kind === 'tool' ? [geminiPart({ functionCall: { name: tool.name, args: tool.input } }, 'STOP', true)] : [geminiPart({ text: 'It ' }), geminiPart({ text: 'rains.' }, 'STOP', true)]),
    more: geminiPart({ text: 'and so on and so forth ' }), error: { error: { code: 500, message: 'on fire', status: 'INTERNAL' } },
  },
  {
    name: 'cohere', path: '/v2/chat', streams: (body) => body.stream === true, named: true,
    whole: {
      text: { id: 'o1', finish_reason: 'COMPLETE', message: { role: 'assistant', content: [{ type: 'text', text: 'It rains.' }] }, usage: cohereUsage },
      tool: { id: 'o1', finish_reason: 'TOOL_CALL', message: { role: 'assistant', tool_calls: [cohereTool] }, usage: cohereUsage },
    },
    events: (kind) => [
      { type: 'message-start', id: 'o1', delta: { message: { role: 'assistant', content: [], tool_plan: '', tool_calls: [], citations: [] } } },
      ...(kind === 'tool'
        ? [{ type: 'tool-call-start', index: 0, delta: { message: { tool_calls: { ...cohereTool, function: { name: tool.name, arguments: '' } } } } },
           { type: 'tool-call-delta', index: 0, delta: { message: { tool_calls: { function: { arguments: tool.text } } } } }, { type: 'tool-call-end', index: 0 }]
        : [{ type: 'content-start', index: 0, delta: { message: { content: { type: 'text', text: '' } } } },
           { type: 'content-delta', index: 0, delta: { message: { content: { text: 'It rains.' } } } }, { type: 'content-end', index: 0 }]),
      { type: 'message-end', delta: { finish_reason: kind === 'tool' ? 'TOOL_CALL' : 'COMPLETE', usage: cohereUsage } },
    ],
    more: { type: 'content-delta', index: 0, delta: { message: { content: { text: 'and so on and so forth ' } } } }, error: { message: 'on fire' },
  },
  {
    name: 'mistral', path: '/mistral/v1/chat/completions', streams: (body) => body.stream === true,
    whole: { text: openaiMessage({ content: 'It rains.' }, 'stop', { model: mistral.model }), tool: openaiMessage({ content: '', tool_calls: [openaiTool] }, 'tool_calls', { model: mistral.model }) },
    events: (kind) => [
      ...(kind === 'tool'
        ? [mistralChunk({ role: 'assistant', content: '', tool_calls: [{ index: 0, ...openaiTool }] }, 'tool_calls', openaiUsage)]
        : [mistralChunk({ role: 'assistant', content: 'It ' }), mistralChunk({ content: 'rains.' }, 'stop', openaiUsage)]),
      '[DONE]',
    ],
    more: mistralChunk({ content: 'and so on and so forth ' }), error: { object: 'error', message: 'on fire', type: 'internal', param: null, code: '3000' },
  },
  {
    name: 'ollama', path: '/api/chat', streams: (body) => body.stream === true, lines: true,
    whole: { text: ollamaPart({ content: 'It rains.' }, true), tool: ollamaPart({ tool_calls: [{ function: { name: tool.name, arguments: tool.input } }] }, true) },
    events: (kind) => (kind === 'tool' ? [ollamaPart({ tool_calls: [{ function: { name: tool.name, arguments: tool.input } }] }), ollamaPart({}, true)] : [ollamaPart({ content: 'It ' }), ollamaPart({ content: 'rains.' }), ollamaPart({}, true)]),
    more: ollamaPart({ content: 'and so on and so forth ' }), error: { error: 'on fire' },
  },
];

const framed = (api, event) => {
  const data = typeof event === 'string' ? event : JSON.stringify(event);
  return api.lines ? `${data}\n` : `${api.named ? `event: ${event.type}\n` : ''}data: ${data}\n\n`;
};

const question = (body) => {
  const text = JSON.stringify(body);
  return ['weather', 'endless', 'breaks', 'waits', 'fails'].find((word) => text.includes(`"${word}"`)) ?? 'Hi';
};

/** Listens, and counts: `served` requests, and of the streams without an end those that the client has `closed`. */
export async function startProvider() {
  const counts = { served: 0, closed: 0, onClosed: () => {} };
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (piece) => (text += piece));
    request.on('end', () => {
      ++counts.served;
      const api = apis.find(({ path }) => request.url.startsWith(path));
      if (!api) return response.writeHead(404, { 'content-type': 'application/json' }).end('{}');
      const body = JSON.parse(text);
      const asked = question(body);
      const streamed = api.streams(body, request.url);
      if (asked === 'fails' && counts.served === 1) return response.writeHead(500, { 'content-type': 'application/json' }).end(JSON.stringify(api.error));
      response.setHeader('content-type', !streamed ? 'application/json' : api.lines ? 'application/x-ndjson' : 'text/event-stream');
      const kind = asked === 'weather' ? 'tool' : 'text';
      if (!streamed) {
        const whole = JSON.stringify(api.whole[kind]);
        if (asked !== 'breaks') return response.end(whole);
        response.setHeader('content-length', whole.length);
        return response.write(whole.slice(0, whole.length / 2), () => response.destroy());
      }
      const events = api.events(kind, body);
      const end = events.findIndex((event) => JSON.stringify(event).includes('rains'));
      const start = () => events.slice(0, end).map((event) => framed(api, event)).join('');
      if (asked === 'endless' || asked === 'waits') {
        response.on('close', () => {
          ++counts.closed;
          counts.onClosed();
        });
        response.write(start() + framed(api, api.more));
        if (asked === 'waits') return;
        const more = () => {
          while (!response.destroyed && response.write(framed(api, api.more)));
        };
        response.on('drain', more);
        more();
      } else if (asked === 'breaks') {
        response.write(start() + framed(api, api.more).repeat(20), () => response.destroy());
      } else {
        response.end(events.map((event) => framed(api, event)).join(''));
      }
    });
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const origin = `http://127.0.0.1:${server.address().port}`;
  return {
    counts,
    /** What a program's environment says where providers are. */
    environment: {
      OPENAI_BASE_URL: `${origin}/v1`, ANTHROPIC_BASE_URL: origin, GOOGLE_GEMINI_BASE_URL: origin, CO_API_URL: origin, MISTRAL_BASE_URL: `${origin}/mistral`, OLLAMA_HOST: origin,
    },
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
