// The DuckDB peer: loads segment_events.csv of the current folder and runs queries on one thread, in memory.
//   node duckdb.mjs MODULES SQL RUNS NAME ...
// MODULES is the folder that holds node_modules, SQL that of the files peer_duckdb_NAME.sql, each one query. The queries
// take turns. Writes duckdb_NAME.tsv (the answers) and prints name and CPU seconds of each run, the process's user + system time.
import { createRequire } from 'node:module';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const [modules, folder, runs, ...names] = process.argv.slice(2);
const require = createRequire(join(resolve(modules), 'package.json'));
const { DuckDBInstance } = require('@duckdb/node-api');
const installed = JSON.parse(readFileSync(join(resolve(modules), 'node_modules/@duckdb/node-api/package.json'), 'utf8'));
const sql = (name) => readFileSync(join(folder, `peer_duckdb_${name}.sql`), 'utf8');

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

await measured('load', () => connection.run(sql('load')));
for (let run = 0; run <= Number(runs); run++) {
  for (const name of names) {
    const ask = () => connection.runAndReadAll(sql(name));
    const reader = run === 0 ? await ask() : await measured(name, ask);
    if (run === 0) {
      writeFileSync(`duckdb_${name}.tsv`, [reader.columnNames(), ...reader.getRows()].map((row) => row.join('\t') + '\n').join(''));
    }
  }
}
