// The programs: what users of the official SDKs write. None knows of outlay. What it saw goes to standard output as JSON.
//
//   node programs.mjs PACKAGES SDK PROGRAM      PACKAGES: a directory with the SDKs in its node_modules
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

const [packages, sdk, program] = process.argv.slice(2);
const require = createRequire(join(resolve(packages), 'package.json'));
const user = (content) => [{ role: 'user', content }];
const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const about = { name: 'weather', description: 'The weather in a city.' };
const functions = (wanted) => wanted && { tools: [{ type: 'function', function: { ...about, parameters: schema } }] };

// Of each SDK: `ask` returns the text of an answer and the arguments of the tool that it calls, `stream` yields the same in pieces. Without
// `ceiling` none is set: Anthropic's own servers want one, others that speak its API do not.
const sdks = {
  openai() {
    const { default: OpenAI } = require('openai');
    const client = new OpenAI({ apiKey: 'sk-test' });
    const request = (content, { tools, ceiling }) => ({ model: 'gpt-4o', messages: user(content), ...(ceiling && { max_completion_tokens: ceiling }), ...functions(tools) });
    return {
      async ask(content, options) {
        const { message } = (await client.chat.completions.create(request(content, options))).choices[0];
        return { text: message.content ?? '', tool: message.tool_calls?.[0].function.arguments };
      },
      async *stream(content, options) {
        const stream = await client.chat.completions.create({ ...request(content, options), stream: true }, { signal: options.signal });
        for await (const chunk of stream) {
          if (chunk.usage || chunk.choices.length !== 1) throw new Error('a usage that was not asked for');
          yield { text: chunk.choices[0].delta.content, tool: chunk.choices[0].delta.tool_calls?.[0].function.arguments };
        }
      },
    };
  },
  anthropic() {
    const { default: Anthropic } = require('@anthropic-ai/sdk');
    const client = new Anthropic({ apiKey: 'sk-test' });
    const request = (content, { tools, ceiling }) => ({
      model: 'claude-sonnet-5', ...(ceiling && { max_tokens: ceiling }), messages: user(content), ...(tools && { tools: [{ ...about, input_schema: schema }] }),
    });
    return {
      async ask(content, options) {
        const { content: blocks } = await client.messages.create(request(content, options));
        return { text: blocks[0].text ?? '', tool: blocks[0].input && JSON.stringify(blocks[0].input) };
      },
      async *stream(content, options) {
        const stream = await client.messages.create({ ...request(content, options), stream: true }, { signal: options.signal });
        for await (const event of stream) if (event.type === 'content_block_delta') yield { text: event.delta.text, tool: event.delta.partial_json };
      },
    };
  },
  gemini() {
    const { GoogleGenAI } = require('@google/genai');
    const client = new GoogleGenAI({ apiKey: 'test' });
    const request = (contents, { tools, ceiling, signal }) => ({
      model: 'gemini-2.5-flash', contents,
      config: { ...(ceiling && { maxOutputTokens: ceiling }), ...(signal && { abortSignal: signal }), ...(tools && { tools: [{ functionDeclarations: [{ ...about, parametersJsonSchema: schema }] }] }) },
    });
    const seen = (reply) => {
      const call = reply.functionCalls?.[0];
      return { text: call ? '' : reply.text, tool: call && JSON.stringify(call.args) };
    };
    return {
      ask: async (content, options) => seen(await client.models.generateContent(request(content, options))),
      async *stream(content, options) {
        for await (const chunk of await client.models.generateContentStream(request(content, options))) yield seen(chunk);
      },
    };
  },
  cohere() {
    const { CohereClientV2 } = require('cohere-ai');
    const client = new CohereClientV2({ token: 'test', environment: process.env.CO_API_URL });
    const request = (content, { tools, ceiling }) => ({ model: 'command-a-03-2025', messages: user(content), ...(ceiling && { maxTokens: ceiling }), ...functions(tools) });
    return {
      async ask(content, options) {
        const { message } = await client.chat(request(content, options));
        return { text: message.content?.[0].text ?? '', tool: message.toolCalls?.[0].function.arguments };
      },
      async *stream(content, options) {
        for await (const event of await client.chatStream(request(content, options), { abortSignal: options.signal })) {
          if (event.type === 'content-delta') yield { text: event.delta.message.content.text };
          if (event.type === 'tool-call-delta') yield { tool: event.delta.message.toolCalls.function.arguments };
          if (event.type === 'message-end') yield { finish: event.delta.finishReason, reason: event.delta.error };
        }
      },
    };
  },
  mistral() {
    const { Mistral } = require('@mistralai/mistralai');
    const client = new Mistral({ apiKey: 'test', serverURL: process.env.MISTRAL_BASE_URL });
    const request = (content, { tools, ceiling }) => ({ model: 'mistral-large-latest', messages: user(content), ...(ceiling && { maxTokens: ceiling }), ...functions(tools) });
    return {
      async ask(content, options) {
        const { message } = (await client.chat.complete(request(content, options))).choices[0];
        return { text: message.content ?? '', tool: message.toolCalls?.[0].function.arguments };
      },
      async *stream(content, options) {
        for await (const { data } of await client.chat.stream(request(content, options), { signal: options.signal }))
          yield { text: data.choices[0].delta.content, tool: data.choices[0].delta.toolCalls?.[0].function.arguments, finish: data.choices[0].finishReason };
      },
    };
  },
  ollama() {
    const { Ollama } = require('ollama');
    const client = new Ollama({ host: process.env.OLLAMA_HOST });
    const request = (content, { tools, ceiling }) => ({ model: 'qwen3:4b', messages: user(content), ...(ceiling && { options: { num_predict: ceiling } }), ...functions(tools) });
    const seen = ({ message }) => ({ text: message.content, tool: message.tool_calls && JSON.stringify(message.tool_calls[0].function.arguments) });
    return {
      ask: async (content, options) => seen(await client.chat(request(content, options))),
      async *stream(content, options) {
        options.signal?.addEventListener('abort', () => client.abort());
        for await (const part of await client.chat({ ...request(content, options), stream: true })) yield seen(part);
      },
    };
  },
};

const { ask, stream } = sdks[sdk]();
const most = 50;

const describe = (error) => ({ type: error.constructor.name, status: error.status ?? error.statusCode ?? error.status_code, message: `${error.message} ${error.cause?.message ?? ''}`.trim() });

/** What came of a stream, and the error that it ended with. */
async function whole(pieces) {
  const seen = { text: '', tool: '', pieces: 0 };
  try {
    for await (const { text, tool, finish, reason } of pieces) {
      seen.text += text ?? '';
      seen.tool += tool ?? '';
      if (text) ++seen.pieces;
      if (finish) Object.assign(seen, { finish, reason });
    }
  } catch (error) {
    seen.error = describe(error);
  }
  return seen;
}

const programs = {
  async plain() {
    const texts = new Set();
    for (let calls = 0; calls < most; ++calls) {
      try {
        texts.add((await ask('Hi', { ceiling: 100 })).text);
      } catch (error) {
        return { calls, texts: [...texts], error: describe(error) };
      }
    }
    return { calls: most };
  },
  async streams() {
    const texts = new Set();
    for (let calls = 0; calls < most; ++calls) {
      const seen = await whole(stream('Hi', { ceiling: 100 }));
      if (seen.error) return { calls, texts: [...texts], error: seen.error };
      texts.add(seen.text);
    }
    return { calls: most };
  },
  async tools() {
    return { plain: (await ask('weather', { tools: true, ceiling: 100 })).tool, streamed: (await whole(stream('weather', { tools: true, ceiling: 100 }))).tool };
  },
  async cut() {
    return whole(stream('endless', {}));
  },
  async breaks() {
    return whole(stream('breaks', { ceiling: 400 }));
  },
  async aborts() {
    const controller = new AbortController();
    const pieces = stream('waits', { ceiling: 100, signal: controller.signal });
    await pieces.next();
    controller.abort();
    return whole(pieces);
  },
  async fails() {
    try {
      return { text: (await ask('fails', { ceiling: 100 })).text };
    } catch (error) {
      return { error: describe(error) };
    }
  },
};

console.log(JSON.stringify(await programs[program]()));
process.exit(0);
