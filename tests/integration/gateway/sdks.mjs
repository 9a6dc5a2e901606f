// The official SDKs under `outlay run`, each in programs that know nothing of it: plain calls and streams until the cap, tools, a stream that
// is cut, one that its provider breaks off, one that the program aborts, an error of the provider. What each program saw, that nothing was tried
// again, and what was booked.
//
//   node sdks.mjs OUTLAY PACKAGES      PACKAGES: a directory with the SDKs in its node_modules
//
// Prints a line a check. Ends with 1 if any fails.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startProvider } from './provider.mjs';

const [outlay, packages] = process.argv.slice(2).map((path) => resolve(path));
const work = mkdtempSync(join(tmpdir(), 'outlay-sdks-'));
const provider = await startProvider();
const { counts } = provider;
const file = (name) => fileURLToPath(new URL(name, import.meta.url));

let failed = 0;
const check = (what, holds, seen) => {
  console.log(`${holds ? 'ok    ' : 'FAILED'} ${what}${holds ? '' : `: ${JSON.stringify(seen)}`}`);
  if (!holds) ++failed;
};

/** Runs a command under a cap. What it printed, the line at the end, what was booked, and what the provider has seen. */
async function capped(cap, command, environment = {}) {
  Object.assign(counts, { served: 0, closed: 0 });
  const books = join(work, 'spend.db');
  for (const end of ['', '-wal', '-shm']) rmSync(books + end, { force: true });
  const child = spawn(outlay, ['run', ...cap, '--keep', books, '--', ...command], { env: { ...process.env, ...provider.environment, ...environment } });
  let out = '', err = '';
  child.stdout.on('data', (piece) => (out += piece));
  child.stderr.on('data', (piece) => (err += piece));
  const code = await new Promise((ended) => child.on('close', ended));
  const line = err.split('\n').filter((one) => one.startsWith('outlay: ')).pop() ?? '';
  const report = spawnSync(outlay, ['report', books, '--format', 'json']);
  const booked = JSON.parse(report.stdout.toString()).total;
  return { code, out, line, booked, served: counts.served, closed: counts.closed };
}
const run = async (sdk, program, cap) => {
  const seen = await capped(cap, [process.execPath, file('programs.mjs'), packages, sdk, program]);
  try {
    return { ...seen, ...JSON.parse(seen.out) };
  } catch {
    return seen;
  }
};
const plural = (calls) => `${calls} ${calls === 1 ? 'call' : 'calls'}`;
const short = (error) => (error ? `${error.type}${error.status ? ` ${error.status}` : ''} "${error.message.replace(/\s+/g, ' ').slice(0, 160)}"` : 'no error');
const booked = ({ booked: b }) => `$${b.usd} in ${plural(b.calls)}, ${b.input} tokens in, ${b.output} out`;
/** The amounts of the line at the end are those of the books. */
const same = ({ line, booked: { usd } }) => Number(line.match(/\$([0-9.]+)/)?.[1]) === Number(usd);

// What each SDK makes of a refusal, and of the event that a cut stream ends with. Cohere's and Mistral's know a reason to finish that says "error",
// and raise nothing. OpenAI's and Anthropic's try again after errors of the provider, and so does Cohere's.
const sdks = [
  { sdk: 'openai', package: 'openai', cap: ['--usd', '0.002'], refused: 'RateLimitError', status: 429, cut: { type: 'APIError' }, retries: true },
  { sdk: 'anthropic', package: '@anthropic-ai/sdk', cap: ['--usd', '0.0025'], refused: 'RateLimitError', status: 429, cut: { type: 'APIError' }, retries: true },
  { sdk: 'gemini', package: '@google/genai', cap: ['--usd', '0.0005'], refused: 'ApiError', status: 429, cut: { type: 'ApiError' } },
  { sdk: 'cohere', package: 'cohere-ai', cap: ['--usd', '0.002'], refused: 'CohereError', status: 402, cut: { finish: 'ERROR' }, retries: true },
  { sdk: 'mistral', package: '@mistralai/mistralai', cap: ['--usd', '0.0005'], refused: 'SDKError', status: 429, cut: { finish: 'error' } },
  { sdk: 'ollama', package: 'ollama', cap: ['--tokens', '250'], refused: 'ResponseError', status: 429, cut: { type: 'Error' } },
];
const refusal = /budget \\*"run\\*" refused [a-z0-9:.-]+: this call needs up to/;

for (const { sdk, package: name, cap, refused, status, cut, retries } of sdks) {
  const { version } = JSON.parse(readFileSync(join(packages, 'node_modules', name, 'package.json')));
  console.log(`\n${name} ${version}`);
  for (const program of ['plain', 'streams']) {
    const seen = await run(sdk, program, cap);
    check(`${sdk} ${program}: ${plural(seen.calls)}, then ${short(seen.error)}`, seen.code === 0 && seen.calls > 1 && seen.calls < 50 && seen.error?.type === refused && seen.error.status === status && refusal.test(seen.error.message), seen);
    check(`${sdk} ${program}: each answer was whole`, seen.texts?.length === 1 && seen.texts[0] === 'It rains.', seen);
    check(`${sdk} ${program}: nothing was tried again, and the provider has served what was answered`, seen.served === seen.calls && seen.booked.blocked_calls === 1 && /\(1 refused[,)].*; the cap was reached$/.test(seen.line), seen);
    check(`${sdk} ${program}: booked ${booked(seen)}`, seen.booked.calls === seen.calls && seen.booked.input === 20 * seen.calls && seen.booked.output === 5 * seen.calls && seen.line.includes(` in ${plural(seen.calls)}`) && same(seen), seen);
  }
  const tools = await run(sdk, 'tools', ['--tokens', '100000']);
  check(`${sdk} tools: the call of a tool arrives, plain and streamed`, [tools.plain, tools.streamed].every((text) => text && JSON.parse(text).city === 'Oslo') && tools.booked.input === 40 && tools.booked.output === 10, tools);

  const ended = await run(sdk, 'cut', ['--tokens', '600']);
  const how = cut.finish ? `the reason to finish ${ended.finish}${ended.reason ? ` "${ended.reason.slice(0, 100)}"` : ''}` : short(ended.error);
  check(`${sdk} cut: ${ended.pieces} pieces, then ${how}`, ended.pieces > 10 && (cut.finish ? ended.finish === cut.finish && !ended.error : ended.error?.type === cut.type && ended.error.message.includes('The stream was cut there')), ended);
  check(`${sdk} cut: booked ${booked(ended)}, upstream closed`, ended.served === 1 && ended.closed === 1 && ended.line.includes('1 cut') && ended.booked.calls === 1 && ended.booked.input + ended.booked.output <= 600 && same(ended), ended);

  const broken = await run(sdk, 'breaks', ['--tokens', '100000']);
  check(`${sdk}, the provider breaks off: ${broken.pieces} pieces, then ${short(broken.error)}`, broken.pieces >= 20 && broken.error && broken.served === 1, broken);
  check(`${sdk}, the provider breaks off: booked ${booked(broken)}`, broken.booked.calls === 1 && broken.booked.output > 20 * 4 && broken.booked.output < 400, broken);

  const aborted = await run(sdk, 'aborts', ['--tokens', '100000']);
  check(`${sdk} aborts: upstream is closed, booked ${booked(aborted)}`, aborted.code === 0 && aborted.served === 1 && aborted.closed === 1 && aborted.booked.calls === 1 && aborted.booked.output > 0 && aborted.booked.output < 100, aborted);

  const fails = await run(sdk, 'fails', ['--tokens', '100000']);
  check(`${sdk}, the provider fails: ${retries ? `tried again, "${fails.text}"` : short(fails.error)}`, retries ? fails.text === 'It rains.' && fails.served === 2 : fails.error?.status === 500 && fails.served === 1, fails);
}

// ---- Programs without an SDK, exit codes, processes in processes.

console.log('\nwithout an SDK');
const python = `
import json, os, sys, urllib.error, urllib.request
body = json.dumps({"model": "gpt-4o", "max_completion_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}).encode()
calls = 0
while calls < 50:
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body, {"Content-Type": "application/json", "Authorization": "Bearer sk-test"})
    try:
        with urllib.request.urlopen(request) as reply:
            json.load(reply)
            calls += 1
    except urllib.error.HTTPError as error:
        print(json.dumps({"calls": calls, "error": {"type": type(error).__name__, "status": error.code, "message": json.load(error)["error"]["message"]}}))
        sys.exit(5)
`;
const curl = `for i in $(seq 12); do curl -s -o /dev/null -w '%{http_code}\\n' "$OPENAI_BASE_URL/chat/completions" -H 'Content-Type: application/json' -d '{"model":"gpt-4o","max_completion_tokens":100,"messages":[{"role":"user","content":"Hi"}]}'; done`;
const has = (program) => spawnSync(program, ['--version']).status === 0;
const answers = (seen) => seen.out.split('\n').filter((line) => line === '200').length;
const true_line = (seen, calls, refused) => seen.served === calls && seen.booked.calls === calls && same(seen) && seen.line.includes(` of $0.002 in ${plural(calls)} (${refused} refused); the cap was reached`);

if (has('python3')) {
  const seen = await capped(['--usd', '0.002'], ['python3', '-c', python]);
  const { calls, error } = JSON.parse(seen.out || '{}');
  check(`python3, urllib: ${plural(calls)}, then ${short(error)}, exit code ${seen.code}`, seen.code === 5 && calls === 10 && error.status === 429 && refusal.test(error.message) && true_line(seen, 10, 1), seen);
} else {
  console.log('SKIPPED: there is no python3 here');
}
if (has('curl')) {
  const seen = await capped(['--usd', '0.002'], ['sh', '-c', `${curl}; exit 3`]);
  check(`curl: ${answers(seen)} of 12 answered, exit code ${seen.code}, "${seen.line}"`, seen.code === 3 && answers(seen) === 10 && true_line(seen, 10, 2), seen);
  const parallel = await capped(['--usd', '0.002'], ['sh', '-c', `for n in 1 2 3 4; do (${curl}) & done; wait`]);
  // Calls at once hold what each may need, so fewer may be answered than one after the other; the line is true in any case.
  const calls = answers(parallel);
  check(`four at once: ${calls} of 48 answered, "${parallel.line}"`, calls >= 1 && calls <= 10 && true_line(parallel, calls, 48 - calls), parallel);
  const outer = `require('child_process').spawnSync('sh', ['-c', 'sh -c "$1"; exit 4', '', process.argv[1]], { stdio: 'inherit' }); process.exit(6);`;
  const nested = await capped(['--usd', '0.002'], [process.execPath, '-e', outer, curl]);
  check(`a shell in a shell in node: ${answers(nested)} of 12 answered, exit code ${nested.code}`, nested.code === 6 && answers(nested) === 10 && true_line(nested, 10, 2), nested);
  const inner = await capped(['--usd', '1'], [outlay, 'run', '--usd', '0.002', '--', 'sh', '-c', `${curl}; exit 7`]);
  check(`a run in a run: ${answers(inner)} of 12 answered, exit code ${inner.code}`, inner.code === 7 && answers(inner) === 10 && inner.served === 10 && inner.booked.calls === 10, inner);
} else {
  console.log('SKIPPED: there is no curl here');
}

provider.close();
rmSync(work, { recursive: true });
console.log(failed ? `\n${failed} checks failed` : '\nall checks hold');
process.exitCode = failed ? 1 : 0;
