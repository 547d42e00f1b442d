// The DuckDB peer: loads segment_events.csv of the current folder and runs queries on one thread, in memory.
//   node duckdb.mjs MODULES SQL RUNS NAME[=RUNS] ...
// MODULES is the folder that holds node_modules. Queries of NAME are in peer_duckdb_NAME.sql of the current folder or of SQL, each ends
// with a line. Names take turns. The first run warms up and writes duckdb_NAME.tsv (the answers; of a file peer_duckdb_NAME_check.sql
// where there is one); the others, RUNS or as many as NAME says, print name and CPU seconds, the process's user + system time.
import { createRequire } from 'node:module';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const [modules, folder, runs, ...asked] = process.argv.slice(2);
const turns = asked.map((name) => name.split('=')).map(([name, own]) => ({ name, runs: Number(own ?? runs) }));
const require = createRequire(join(resolve(modules), 'package.json'));
const { DuckDBInstance } = require('@duckdb/node-api');
const installed = JSON.parse(readFileSync(join(resolve(modules), 'node_modules/@duckdb/node-api/package.json'), 'utf8'));
const file = (name) => [`peer_duckdb_${name}.sql`, join(folder, `peer_duckdb_${name}.sql`)].find((path) => existsSync(path));
const sql = (name) => readFileSync(file(name), 'utf8');

const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
const connection = await instance.connect();
await connection.run("SET TimeZone = 'UTC'");
const versions = await connection.runAndReadAll('SELECT version()');
console.log('version', `DuckDB ${versions.getRows()[0][0]}, @duckdb/node-api ${installed.version}, node ${process.version}`);

async function measured(name, work) {
  const before = process.cpuUsage();
  const result = await work();
  const used = process.cpuUsage(before);
  console.log(name, (used.user + used.system) / 1e6);
  return result;
}

// The rows of all queries of a file, after the names of the first one's columns.
async function answer(name) {
  const rows = [];
  for (const query of sql(name).split(/;\s*$/m).filter((part) => part.trim() !== '')) {
    const reader = await connection.runAndReadAll(query);
    if (rows.length === 0) rows.push(reader.columnNames());
    rows.push(...reader.getRows());
  }
  return rows;
}

await measured('load', () => connection.run(sql('load')));
for (const { name } of turns) {
  const rows = await answer(file(`${name}_check`) ? `${name}_check` : name);
  writeFileSync(`duckdb_${name}.tsv`, rows.map((row) => row.join('\t') + '\n').join(''));
}
for (let run = 1; run <= Math.max(...turns.map((turn) => turn.runs)); run++) {
  for (const turn of turns) {
    if (run <= turn.runs) await measured(turn.name, () => answer(turn.name));
  }
}
