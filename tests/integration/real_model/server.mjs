// Serves the two models of model.mjs, run by llama.cpp (node-llama-cpp), as OpenAI's Chat Completions on the loopback address: streamed
// replies alone, one token a chunk. A client that hangs up ends its generation.
//
//   node server.mjs MODULES DIRECTORY      MODULES: where node-llama-cpp is installed; DIRECTORY: for the model files
//
// The first line says the port. GET /stats counts requests, tokens generated, and clients that hung up before the end.
import {once} from 'node:events';
import {statSync} from 'node:fs';
import {createServer} from 'node:http';
import {createRequire} from 'node:module';
import {join, resolve} from 'node:path';
import {pathToFileURL} from 'node:url';
import {writeModel} from './model.mjs';

const [modules, directory] = process.argv.slice(2);
const entry = createRequire(resolve(modules, 'package.json')).resolve('node-llama-cpp');
const {getLlama} = await import(pathToFileURL(entry));
const llama = await getLlama({gpu: false, build: 'never', logLevel: 'error'});

const sequences = {};
for (const kind of ['finite', 'endless']) {
  const path = join(directory, `${kind}.gguf`);
  writeModel(path, kind);
  console.error(`${path}: ${statSync(path).size} bytes`);
  const model = await llama.loadModel({modelPath: path});
  const context = await model.createContext({contextSize: 1024, threads: 1});
  sequences[kind] = {model, sequence: context.getSequence()};
}

const stats = {requests: 0, generated: 0, hung_up: 0};
const mostTokens = 50_000;  // nothing here runs for ever

async function complete(request, response) {
  const {model, sequence} = sequences[request.model];
  const id = `chatcmpl-${stats.requests}`;
  const send = async (rest) => {
    const chunk = {id, object: 'chat.completion.chunk', model: request.model, ...rest};
    if (!response.destroyed && !response.write(`data: ${JSON.stringify(chunk)}\n\n`))
      await Promise.race([once(response, 'drain'), once(response, 'close')]);
  };
  const delta = (content, finish_reason) => send({choices: [{index: 0, delta: content ? {content} : {}, finish_reason}]});

  response.writeHead(200, {'content-type': 'text/event-stream'});
  await sequence.clearHistory();
  let generated = 0, reason = 'length', last = [];
  const ceiling = Math.min(request.max_completion_tokens ?? mostTokens, mostTokens);
  const prompt = [model.tokens.bos, ...model.tokenize(request.messages.map((message) => message.content).join('\n'))];
  for await (const token of sequence.evaluate(prompt, {temperature: 0, yieldEogToken: true})) {
    ++generated;
    ++stats.generated;
    if (model.isEogToken(token)) {
      reason = 'stop';
      break;
    }
    await delta(model.detokenize([token], false, last), null);
    last = [token];
    if (response.destroyed || generated >= ceiling) break;
    await new Promise(setImmediate);  // where a client hangs up, we hear of it here
  }
  if (response.destroyed) return void ++stats.hung_up;
  await delta('', reason);
  if (request.stream_options?.include_usage)
    await send({choices: [], usage: {prompt_tokens: prompt.length, completion_tokens: generated, total_tokens: prompt.length + generated}});
  response.end('data: [DONE]\n\n');
}

let turn = Promise.resolve();  // one at a time
const server = createServer(async (request, response) => {
  if (request.method === 'GET') return response.end(JSON.stringify(stats));
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  ++stats.requests;
  const body = JSON.parse(Buffer.concat(pieces));
  turn = turn.then(() => complete(body, response)).catch((error) => {
    console.error(error);
    response.destroy();
  });
});
server.listen(0, '127.0.0.1', () => console.log(`listening on 127.0.0.1:${server.address().port}`));
process.stdin.resume().on('end', () => process.exit(0));  // with whoever started it
