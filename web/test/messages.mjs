/**
 * Holds the languages of the pages against each other and against the pages: every message stands in every language
 * with the same `{words}` in it, every one is used, and no text of a page stands outside of the catalogue.
 *
 * Usage: node test/messages.mjs
 */

import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

import { parse } from 'svelte/compiler';
import ts from 'typescript';

const SOURCES = join(dirname(fileURLToPath(import.meta.url)), '../src');
/** Attributes that people read or hear. */
const READ = new Set(['aria-label', 'alt', 'placeholder', 'title', 'label', 'word', 'sure', 'hint']);
/** The same in every language: names, and forms of addresses and codes. */
const SAME = /^(Headwater|API Headwater|HLS|fps|fr|usr_|https|headwater( [a-z]+)+|ms|p|s|99\+|thumbnails)$/;

/** @type {string[]} */
const faults = [];

/** @param {string} name @returns {Promise<Record<string, string>>} */
async function catalogue(name) {
  const source = readFileSync(join(SOURCES, `lib/messages/${name}.ts`), 'utf8');
  const { outputText } = ts.transpileModule(source, { compilerOptions: { module: ts.ModuleKind.ESNext } });
  const module = await import(`data:text/javascript;base64,${Buffer.from(outputText).toString('base64')}`);
  return module[name];
}

/** @param {string} text */
const words = (text) => (text.match(/\{\w+\}/g) ?? []).sort().join(' ');

const languages = readdirSync(join(SOURCES, 'lib/messages')).map((file) => file.replace('.ts', ''));
const english = await catalogue('en');
for (const name of languages) {
  const other = await catalogue(name);
  for (const key of new Set([...Object.keys(english), ...Object.keys(other)])) {
    const [here, there] = [english[key], other[key]];
    if (!here || !there) faults.push(`${key}: missing or empty in ${here ? name : 'en'}`);
    else if (words(here) !== words(there)) faults.push(`${key}: ${words(here)} in en, ${words(there)} in ${name}`);
  }
}

const files = readdirSync(SOURCES, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && /\.(svelte|ts)$/.test(entry.name))
  .map((entry) => join(entry.parentPath, entry.name))
  .filter((path) => !path.includes('generated') && !path.includes('messages'));
const sources = files.map((path) => ({ name: relative(SOURCES, path), text: readFileSync(path, 'utf8') }));

const all = sources.map(({ text }) => text).join('\n');
const named = new Set([...all.matchAll(/'([\w-]+\.[\w.:-]+)'/g)].map((match) => match[1]));
/** `state.` of `state.${asset.state}`: any message of that beginning may be meant. */
const begun = [...all.matchAll(/`([a-zA-Z]+\.)\$\{/g)].map((match) => match[1] ?? '');
for (const key of Object.keys(english)) {
  const base = key.replace(/\.(one|other)$/, '');
  if (!named.has(base) && !begun.some((beginning) => key.startsWith(beginning))) faults.push(`${key}: used nowhere`);
}

/** @param {string} file @param {string} text */
function look(file, text) {
  const shown = text.replace(/[\s·.,:;()[\]{}%…×/#|"'–-]+/g, ' ').trim();
  if (/\p{L}/u.test(shown) && !SAME.test(shown)) faults.push(`${file}: ${JSON.stringify(text.trim())} stands outside of the catalogue`);
}

/** @param {string} file @param {any} node */
function visit(file, node) {
  if (!node || typeof node !== 'object') return;
  if (Array.isArray(node)) return node.forEach((each) => visit(file, each));
  if (node.type === 'Script' || node.type === 'StyleSheet') return;
  if (node.type === 'Text') look(file, node.data);
  if (node.type === 'Attribute') {
    if (READ.has(node.name)) visit(file, node.value);
    return;
  }
  for (const [key, value] of Object.entries(node)) if (key !== 'css' && key !== 'instance' && key !== 'module') visit(file, value);
}
for (const { name, text } of sources) {
  if (name.endsWith('.svelte')) visit(name, parse(text, { modern: true }).fragment);
}

if (faults.length > 0) {
  process.stderr.write(`${faults.join('\n')}\n`);
  process.exit(1);
}
process.stdout.write(`${Object.keys(english).length} messages in ${languages.join(', ')}\n`);
