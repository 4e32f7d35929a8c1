/**
 * What becomes of the details of an asset when two people change them at once, and what is sent of a change.
 *
 * Usage: node test/details.mjs
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import ts from 'typescript';

const path = join(dirname(fileURLToPath(import.meta.url)), '../src/lib/details.ts');
const { outputText } = ts.transpileModule(readFileSync(path, 'utf8'), { compilerOptions: { module: ts.ModuleKind.ESNext } });
const { changeFrom, draftOf, merge } = await import(`data:text/javascript;base64,${Buffer.from(outputText).toString('base64')}`);

/** @param {object} more */
const draft = (more = {}) => ({
  ...draftOf({ title: 'One', description: null, tags: ['a', 'b'], genres: [], languages: [], released_on: null, people: [], external_ids: {} }),
  ...more,
});

test('only what differs is sent, and what is empty is taken away', () => {
  assert.deepEqual(changeFrom(draft(), draft()), {});
  assert.deepEqual(changeFrom(draft(), draft({ tags: ' a ,b,, ' })), {});
  assert.deepEqual(changeFrom(draft(), draft({ title: ' ', tags: 'a, c' })), { title: null, tags: ['a', 'c'] });
  const [ada, nobody] = [{ name: ' Ada ', role: 'director' }, { name: ' ', role: 'actor' }];
  assert.deepEqual(changeFrom(draft(), draft({ people: [ada, nobody] })), { people: [{ name: 'Ada', role: 'director' }] });
});

test('a scheme that is gone is taken away by its name', () => {
  const before = draft({ external_ids: [{ scheme: 'imdb', id: 'tt1' }, { scheme: 'isan', id: '9' }] });
  const after = draft({ external_ids: [{ scheme: 'imdb', id: 'tt2' }] });
  assert.deepEqual(changeFrom(before, after), { external_ids: { imdb: 'tt2', isan: null } });
});

test('what only the other one changed is taken, and what both did is disputed', () => {
  const base = draft();
  const theirs = draft({ title: 'Theirs', genres: 'noir' });
  const mine = draft({ title: 'Mine', description: 'Mine too' });
  const { merged, differences } = merge(base, theirs, mine);
  assert.equal(merged.title, 'Mine');
  assert.equal(merged.genres, 'noir');
  assert.equal(merged.description, 'Mine too');
  assert.deepEqual(differences, [
    { field: 'title', theirs: 'Theirs', mine: 'Mine', isDisputed: true },
    { field: 'genres', theirs: 'noir', mine: '', isDisputed: false },
  ]);
});

test('who wrote the same is in nobody’s way', () => {
  const { merged, differences } = merge(draft(), draft({ title: 'Same' }), draft({ title: 'Same', tags: 'c' }));
  assert.deepEqual(differences, []);
  assert.equal(merged.tags, 'c');
});
