// The DuckDB peer: loads links.tsv of the current folder and finds the components by iterated randomised contraction
// (Boegeholz, Brand, Todor), on one thread, in memory.
//   node duckdb.mjs MODULES SQL RUNS
// MODULES is the folder that holds node_modules, SQL that of peer_duckdb_*.sql. Writes duckdb_rows.tsv (node and
// component) and prints name and CPU seconds of each run, the process's user + system time.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const [modules, folder, runs] = process.argv.slice(2);
const require = createRequire(join(resolve(modules), 'package.json'));
const { DuckDBInstance } = require('@duckdb/node-api');
const installed = JSON.parse(readFileSync(join(resolve(modules), 'node_modules/@duckdb/node-api/package.json'), 'utf8'));
const sql = (name) => readFileSync(join(folder, name), 'utf8');

const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
const connection = await instance.connect();

// Runs the statements of a text, {n} replaced by the round and {m} by the one before; returns rows of the last.
async function run(text, n = 0) {
  let reader;
  for (const statement of text.split(/;\s*(?:\n|$)/)) {
    if (statement.replace(/--.*/g, '').trim() !== '') {
      reader = await connection.runAndReadAll(statement.replaceAll('{n}', n).replaceAll('{m}', n - 1));
    }
  }
  return reader.getRows();
}

// Contracts until no link is left, then carries the labels back through the rounds.
async function components() {
  let rounds = 0;
  await run(sql('peer_duckdb_begin.sql'));
  for (let left = 1n; left > 0n; ) {
    rounds++;
    [[left]] = await run(sql('peer_duckdb_round.sql'), rounds);
  }
  await run(`DROP TABLE IF EXISTS label${rounds}; ALTER TABLE map${rounds} RENAME TO label${rounds}`);
  for (let n = rounds; n > 1; n--) {
    await run(sql('peer_duckdb_back.sql'), n);
  }
  const [[nodes, labelled]] = await run(sql('peer_duckdb_rows.sql'));
  return [rounds, nodes, labelled];
}

const versions = await run('SELECT version()');
console.log('version', `DuckDB ${versions[0][0]}, @duckdb/node-api ${installed.version}, node ${process.version}`);
await run("CREATE TABLE links AS SELECT column0 AS a, column1 AS b FROM read_csv('links.tsv', delim = '\\t', header = false, columns = {'column0': 'BIGINT', 'column1': 'BIGINT', 'column2': 'INTEGER', 'column3': 'INTEGER'})");
let answer = await components();
await run("COPY (SELECT v, r FROM label1) TO 'duckdb_rows.tsv' (DELIMITER '\\t', HEADER false)");
for (let i = 0; i < Number(runs); i++) {
  const before = process.cpuUsage();
  answer = await components();
  const used = process.cpuUsage(before);
  console.log('duckdb', (used.user + used.system) / 1e6);
}
console.log('answer', answer.join(' '));
