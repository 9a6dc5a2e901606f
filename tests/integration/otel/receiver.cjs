// An OTLP/HTTP receiver on the official protocol definitions, for receiver_test.cpp: npm's @opentelemetry/otlp-transformer, of which
// 0.57 is the last minor version that ships them as a decoder of all messages.
//
// node receiver.cjs: prints {"listening":PORT}, then a line for each request: {"request":...} as decoded, with 64-bit numbers as
// strings, or {"error":...}. Ends when its input does.
'use strict';
const http = require('http');
const zlib = require('zlib');

const root = require('@opentelemetry/otlp-transformer/build/src/generated/root');
const Request = root.opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest;

// The decoder takes anything for anything (a word for a number is 0), so the JSON is held to OTLP's rules first: names that exist, in
// lowerCamelCase; 64-bit whole numbers as decimal strings; enumerations as numbers; ids as hex.
const wide = /^(startTimeUnixNano|timeUnixNano|count|asInt|bucketCounts|intValue|zeroCount)$/;
const known = new Set(('resourceMetrics resource scopeMetrics scope metrics attributes key value stringValue name version description ' +
  'unit sum gauge histogram dataPoints aggregationTemporality isMonotonic startTimeUnixNano timeUnixNano asInt asDouble count ' +
  'bucketCounts explicitBounds exemplars spanId traceId').split(' '));

function check(value, path, name) {
  if (Array.isArray(value)) return value.forEach((each, i) => check(each, `${path}[${i}]`, name));
  if (value !== null && typeof value === 'object') {
    for (const key of Object.keys(value)) {
      if (!known.has(key)) throw new Error(`${path}.${key}: no such field`);
      check(value[key], `${path}.${key}`, key);
    }
    return;
  }
  if (wide.test(name) && !(typeof value === 'string' && /^-?\d{1,19}$/.test(value))) throw new Error(`${path}: a decimal string is wanted`);
  if (name === 'traceId' && !/^[0-9a-f]{32}$/.test(value)) throw new Error(`${path}: 32 hex digits are wanted`);
  if (name === 'spanId' && !/^[0-9a-f]{16}$/.test(value)) throw new Error(`${path}: 16 hex digits are wanted`);
  if (name === 'aggregationTemporality' && value !== 2) throw new Error(`${path}: cumulative (2) is wanted`);
  if (/^(asDouble|explicitBounds)$/.test(name) && typeof value !== 'number') throw new Error(`${path}: a number is wanted`);
}

// Hex ids to the bytes that the decoder takes.
function bytes(value) {
  if (Array.isArray(value)) return value.map(bytes);
  if (value === null || typeof value !== 'object') return value;
  const copy = {};
  for (const key of Object.keys(value)) copy[key] = key === 'traceId' || key === 'spanId' ? Buffer.from(value[key], 'hex') : bytes(value[key]);
  return copy;
}

// What the data model asks of data points.
function rules(request) {
  for (const resource of request.resourceMetrics)
    for (const scope of resource.scopeMetrics)
      for (const metric of scope.metrics) {
        const data = metric.sum || metric.gauge || metric.histogram;
        if (!data) throw new Error(`${metric.name}: no data`);
        const sets = new Set();
        for (const point of data.dataPoints) {
          const keys = point.attributes.map(a => a.key);
          if (new Set(keys).size !== keys.length) throw new Error(`${metric.name}: an attribute twice: ${keys}`);
          const set = JSON.stringify(point.attributes.map(a => [a.key, a.value.stringValue]).sort());
          if (sets.has(set)) throw new Error(`${metric.name}: two data points of ${set}`);
          sets.add(set);
          if (!metric.gauge && !(BigInt(point.startTimeUnixNano) < BigInt(point.timeUnixNano))) throw new Error(`${metric.name}: start >= time`);
          if (!metric.histogram) continue;
          if (point.bucketCounts.length !== point.explicitBounds.length + 1) throw new Error(`${metric.name}: buckets and bounds differ`);
          if (point.explicitBounds.some((bound, i) => i > 0 && bound <= point.explicitBounds[i - 1])) throw new Error(`${metric.name}: bounds fall`);
          const inBuckets = point.bucketCounts.reduce((a, b) => a + BigInt(b), 0n);
          if (inBuckets !== BigInt(point.count)) throw new Error(`${metric.name}: ${inBuckets} in buckets, ${point.count} counted`);
        }
      }
}

const server = http.createServer((request, response) => {
  const chunks = [];
  request.on('data', chunk => chunks.push(chunk));
  request.on('end', () => {
    try {
      if (request.method !== 'POST' || request.url !== '/v1/metrics') throw new Error(`${request.method} ${request.url}`);
      if (request.headers['content-type'] !== 'application/json') throw new Error('content type');
      let body = Buffer.concat(chunks);
      if (request.headers['content-encoding'] === 'gzip') body = zlib.gunzipSync(body);
      const json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
      check(json, '$', '');
      // Over the wire form and back: what a receiver of protobuf would see.
      const message = Request.decode(Request.encode(Request.fromObject(bytes(json))).finish());
      const decoded = Request.toObject(message, { longs: String, bytes: String, enums: Number, arrays: true });
      rules(decoded);
      console.log(JSON.stringify({ request: decoded }));
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end('{}');
    } catch (error) {
      console.log(JSON.stringify({ error: String(error) }));
      response.writeHead(400, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ code: 3, message: String(error) }));
    }
  });
});
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ listening: server.address().port })));
process.stdin.on('end', () => process.exit(0)).resume();
