// Verifies and downloads targets with tuf-js, whose word it is; prints one JSON line.
//
// judge.mjs METADATA_URL TARGETS_URL TRUSTED_ROOT_FILE STATE_DIR [TARGET_PATH OUTPUT_FILE]...
//
// {ok, versions: {root, timestamp, snapshot, targets}, targets: {path: {length, hashes, custom} | null}, error}
// null: no such target. A STATE_DIR that holds a root already is a client that comes back.

import fs from 'node:fs';
import path from 'node:path';
import { Updater } from 'tuf-js';

async function judge([metadataBaseUrl, targetBaseUrl, trustedRoot, stateDir, ...wanted]) {
  const stored = path.join(stateDir, 'root.json');
  if (!fs.existsSync(stored)) fs.copyFileSync(trustedRoot, stored);
  const updater = new Updater({ metadataDir: stateDir, metadataBaseUrl, targetBaseUrl });
  await updater.refresh();
  const targets = {};
  for (let at = 0; at < wanted.length; at += 2) {
    targets[wanted[at]] = await fetchTarget(updater, wanted[at], wanted[at + 1]);
  }
  const versions = Object.fromEntries(
    ['root', 'timestamp', 'snapshot', 'targets'].map((role) => [role, updater.trustedSet[role].signed.version]),
  );
  return { ok: true, versions, targets };
}

async function fetchTarget(updater, name, output) {
  const info = await updater.getTargetInfo(name);
  if (!info) return null;
  try {
    await updater.downloadTarget(info, output);
  } catch (error) {
    throw new Error(`${name}: ${error}`);
  }
  return { length: info.length, hashes: info.hashes, custom: info.custom };
}

let result;
try {
  result = await judge(process.argv.slice(2));
} catch (error) {
  result = { ok: false, error: `${error.constructor.name}: ${error.message ?? error}` };
}
console.log(JSON.stringify(result));
