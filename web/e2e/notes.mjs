/**
 * Looks at what the watch page says of a video that is processed again and lacks a part, and says what it saw.
 *
 * Usage: node notes.mjs BASE_URL WATCH_PATH [SCREENSHOT.png]
 *
 * The page asks the real server; its answers gain the fields that take hours or a broken file to come by. Prints one
 * line of JSON; exits 1 with a reason.
 */

import process from 'node:process';

import { expect, run, until } from './browser.mjs';

const [baseUrl, watchPath, screenshot] = process.argv.slice(2);
if (!baseUrl || !watchPath) {
  process.stderr.write('usage: node notes.mjs BASE_URL WATCH_PATH [SCREENSHOT.png]\n');
  process.exit(2);
}

const LEFT_OUT = [
  { kind: 'audio', rendition: 'audio-1-fr', reason: { code: 'damaged', message: 'the track is <b>damaged</b>' } },
  { kind: 'extra', rendition: null, codec: 'av1', reason: { code: 'internal', message: 'the encoder does not open' } },
];

await run(baseUrl, async (page) => {
  /** What the answers say besides. @type {Record<string, unknown>} */
  let more = {};
  await page.route(/\/api\/v1\/assets(\?[^/]*|\/[^/?]+)$/, async (route) => {
    const response = await route.fetch();
    const answer = await response.json();
    for (const asset of answer.data ?? [answer]) Object.assign(asset, more);
    await route.fulfill({ response, json: answer });
  });
  /** @param {Record<string, unknown>} fields */
  const shown = async (fields) => {
    more = fields;
    await page.goto(new URL(watchPath, baseUrl).href);
    await page.locator('[data-asset]').waitFor();
  };
  const again = page.locator('[data-reprocessing]');
  const missing = page.locator('[data-left-out]');
  const failed = page.locator('[data-reprocess-failure]');

  await shown({});
  expect((await again.count()) + (await missing.count()) + (await failed.count()) === 0, 'notes without a reason');

  await shown({
    reprocessing: { generation: 2, renditions: [], progress: 0.421, seconds_left: 200 },
    left_out: LEFT_OUT,
  });
  await until('the page does not tell that it is processed again', async () => (await again.count()) === 1);
  const report = {
    reprocessing: (await again.innerText()).replace(/\s+/g, ' '),
    leftOut: await missing.locator('li').allInnerTexts(),
    player: await page.locator('[data-player]').count(),
  };
  if (screenshot) await page.screenshot({ path: screenshot, fullPage: true });

  await shown({ reprocess_failure: { code: 'damaged', message: 'the source cannot be read' } });
  await until('the page does not tell that it failed', async () => (await failed.count()) === 1);
  const failure = (await failed.innerText()).replace(/\s+/g, ' ');
  // The page asks on and on: what it is asking now is not answered any more.
  await page.unrouteAll({ behavior: 'ignoreErrors' });
  return { ...report, failure };
});
