// The DuckDB peer: loads events.csv of the current folder and runs the five rule models, on one thread, in memory.
//   node duckdb.mjs MODULES SQL RUNS
// MODULES is the folder that holds node_modules, SQL that of the peer's .sql files. Writes duckdb.tsv and
// duckdb_prepared.tsv (the answers) and prints name and CPU seconds of each run, the process's user + system time.
import { createRequire } from 'node:module';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const [modules, folder, runs] = process.argv.slice(2);
const require = createRequire(join(resolve(modules), 'package.json'));
const { DuckDBInstance } = require('@duckdb/node-api');
const installed = JSON.parse(readFileSync(join(resolve(modules), 'node_modules/@duckdb/node-api/package.json'), 'utf8'));
const sql = (name) => readFileSync(join(folder, name), 'utf8');

const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
const connection = await instance.connect();
await connection.run("SET TimeZone = 'UTC'");

async function measure(name, count, work) {
  let result;
  for (let run = 0; run < count; run++) {
    const before = process.cpuUsage();
    result = await work();
    const used = process.cpuUsage(before);
    console.log(name, (used.user + used.system) / 1e6);
  }
  return result;
}

function write(file, reader) {
  const rows = [reader.columnNames(), ...reader.getRows()];
  writeFileSync(file, rows.map((row) => row.join('\t') + '\n').join(''));
}

const versions = await connection.runAndReadAll('SELECT version()');
console.log('version', `DuckDB ${versions.getRows()[0][0]}, @duckdb/node-api ${installed.version}, node ${process.version}`);
await measure('load', 3, () => connection.run(sql('peer_duckdb_load.sql')));
const ask = (name) => () => connection.runAndReadAll(sql(name));
await ask('peer_duckdb.sql')();
write('duckdb.tsv', await measure('plain', Number(runs), ask('peer_duckdb.sql')));
await measure('prepare', 1, async () => {
  const statements = await connection.extractStatements(sql('peer_duckdb_prepare.sql'));
  for (let i = 0; i < statements.count; i++) await (await statements.prepare(i)).run();
});
await ask('peer_duckdb_prepared.sql')();
write('duckdb_prepared.tsv', await measure('prepared', Number(runs), ask('peer_duckdb_prepared.sql')));
