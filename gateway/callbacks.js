#!/usr/bin/env node
// Hands what WeCom, WeChat and senders of Standard Webhooks push to cdp_api.receive_callback(), and its answer back. It holds no key and reads no message:
// the database verifies and decrypts. Put it behind a web server with TLS; docs/callbacks.md.
//   npm install pg; PGHOST=... PGUSER=... PGDATABASE=... node gateway/callbacks.js
'use strict';
const http = require('node:http');
const { Pool } = require('pg');

const host = process.env.CDP_GATEWAY_HOST || '127.0.0.1';
const port = Number(process.env.CDP_GATEWAY_PORT || 8484);
const MOST_BYTES = 4 * 1024 * 1024; // as the function takes
const DEADLINE_MS = 4500; // platforms wait for five seconds, then push again
const PARAMETERS = ['msg_signature', 'timestamp', 'nonce', 'echostr', 'signature'];
const CALL = 'SELECT cdp_api.receive_callback($1, $2, $3, $4, $5, $6, $7) AS answer';

const pool = new Pool({ max: 8, connectionTimeoutMillis: 2000, query_timeout: 4000, statement_timeout: 3500, application_name: 'pg_cdp gateway' });
pool.on('error', error => log({ database: error.code || error.message }));

// One line a request: never a parameter, a body or what the database says about them.
function log(entry) {
  console.log(JSON.stringify({ at: new Date().toISOString(), ...entry }));
}

class Refusal extends Error {
  constructor(status) {
    super(http.STATUS_CODES[status]);
    this.status = status;
  }
}

// The parameters that are handed on, decoded; a plus stays one, for base64 has some. One that comes twice could be read in two ways.
function parameters(query) {
  const found = {};
  for (const part of query.split('&')) {
    const [name, ...value] = part.split('=');
    if (!PARAMETERS.includes(name)) continue;
    if (name in found) throw new Refusal(400);
    found[name] = decodeURIComponent(value.join('='));
  }
  return found;
}

// Standard Webhooks have them in headers.
function fromHeaders(headers) {
  return { msg_signature: headers['webhook-signature'], timestamp: headers['webhook-timestamp'], nonce: headers['webhook-id'] };
}

async function read(request) {
  const parts = [];
  let size = 0;
  if (Number(request.headers['content-length']) > MOST_BYTES) throw new Refusal(413);
  for await (const part of request) {
    size += part.length;
    if (size > MOST_BYTES) throw new Refusal(413);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

// What the answer's status says of an error: 403 is the platform's fault, 503 ours, which lets it push again.
function statusOf(error) {
  if (error instanceof Refusal) return error.status;
  if (error instanceof URIError) return 400;
  return { 28000: 403, 22004: 400, 22021: 400, 54000: 413 }[error.code] || 503;
}

async function answer(request) {
  const [path, query = ''] = request.url.split(/\?(.*)/s);
  const name = /^\/callback\/([^/]+)$/.exec(path);
  if (!name) throw new Refusal(404);
  if (!['GET', 'POST'].includes(request.method)) throw new Refusal(405);
  const p = 'webhook-id' in request.headers && !query ? fromHeaders(request.headers) : parameters(query);
  const body = request.method === 'POST' ? await read(request) : null;
  if (body === null && p.echostr === undefined) throw new Refusal(400);
  // An address is checked by GET alone, so that a message can not pass for a check.
  const values = [decodeURIComponent(name[1]), p.msg_signature, p.timestamp, p.nonce, body, body === null ? p.echostr : null, p.signature];
  const { rows } = await pool.query(CALL, values.map(value => value ?? null));
  return rows[0].answer;
}

const server = http.createServer(async (request, response) => {
  const begun = Date.now();
  let status = 200;
  let code;
  let text;
  let timer;
  try {
    text = await Promise.race([answer(request), new Promise((_, fail) => { timer = setTimeout(() => fail(new Refusal(503)), DEADLINE_MS); })]);
  } catch (error) {
    status = statusOf(error);
    code = error.code;
    text = Buffer.from(http.STATUS_CODES[status]);
  } finally {
    clearTimeout(timer);
  }
  log({ method: request.method, status, ...(code && { code }), ms: Date.now() - begun });
  if (!response.destroyed) {
    response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'content-length': text.length, 'x-content-type-options': 'nosniff', 'cache-control': 'no-store', ...(status === 200 ? {} : { connection: 'close' }) });
    response.end(text);
  }
});
server.headersTimeout = 5000;
server.requestTimeout = 10000;
server.maxConnections = 500;
server.listen(port, host, () => log({ listening: `${host}:${server.address().port}` }));
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => { server.close(() => pool.end().then(() => process.exit(0))); server.closeIdleConnections(); });
}
