// Reads .circleci/config.yml with CircleCI's own parser: node scripts/parse_circleci.mjs PARSER-FOLDER [FILE]
// It knows the kinds of executors, steps and workflow entries, which the JSON schema is lax about.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const [folder, file = '.circleci/config.yml'] = process.argv.slice(2);
const require = createRequire(resolve(folder, 'node_modules/'));
const { parseConfig } = require('@circleci/circleci-config-parser');
const { parse } = require('yaml');

// The parser knows one of our commands only as a mapping, where CircleCI takes its bare name too.
function spellOut(config) {
  const own = new Set(Object.keys(config.commands ?? {}));
  for (const thing of [...Object.values(config.jobs ?? {}), ...Object.values(config.commands ?? {})]) {
    thing.steps = (thing.steps ?? []).map((step) => (own.has(step) ? { [step]: {} } : step));
  }
  return config;
}

try {
  const config = parseConfig(spellOut(parse(readFileSync(file, 'utf8'))));
  console.log(`${file}: the parser found ${config.jobs.length} jobs and ${config.workflows.length} workflows`);
} catch (error) {
  console.error(`${file}: ${error.message.split('\n').slice(0, 3).join(' ').slice(0, 500)}`);
  process.exit(1);
}
