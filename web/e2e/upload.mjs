/**
 * Uploads a file through the upload page on a bad day, and waits until it can be watched.
 *
 * Usage: node upload.mjs BASE_URL FILE [SCREENSHOT.png]
 *
 * The line is slow at first. The upload is paused and resumed, then the page is reloaded in the middle and the same file
 * chosen again: it continues where it stopped. Prints one line of JSON with the watch path; exits 1 with a reason.
 */

import { statSync } from 'node:fs';
import { basename } from 'node:path';
import process from 'node:process';

import { expect, run, until } from './browser.mjs';

/** The slow line needs this long for the whole file: long enough to interfere, short enough to wait for. */
const SLOW_UPLOAD_S = 20;
const PLAYABLE_DEADLINE_MS = 180_000;

const [baseUrl, file, screenshot] = process.argv.slice(2);
if (!baseUrl || !file) {
  process.stderr.write('usage: node upload.mjs BASE_URL FILE [SCREENSHOT.png]\n');
  process.exit(2);
}

/**
 * Sets the speed of the line towards the server; `null` for as fast as it goes.
 *
 * @param {import('playwright-core').CDPSession} line
 * @param {number | null} bytesPerSecond
 */
async function setSpeed(line, bytesPerSecond) {
  await line.send('Network.emulateNetworkConditions', {
    offline: false,
    latency: 0,
    downloadThroughput: -1,
    uploadThroughput: bytesPerSecond ?? -1,
  });
}

await run(baseUrl, async (page) => {
  const name = basename(file);
  const size = statSync(file).size;
  const line = await page.context().newCDPSession(page);
  await line.send('Network.enable');
  await setSpeed(line, size / SLOW_UPLOAD_S);

  await page.goto(baseUrl);
  const input = page.locator('input[type="file"]');
  const row = page.locator(`[data-upload="${name}"]`);
  const share = async () =>
    Number(await row.locator('[role="progressbar"]').first().getAttribute('aria-valuenow'));

  await input.setInputFiles(file);
  await until('the upload does not begin', async () => (await share()) >= 10);
  await row.getByRole('button', { name: `Pause ${name}` }).click();
  await until('the upload does not pause', async () => (await row.getAttribute('data-phase')) === 'paused');
  const pausedAt = await share();
  await page.waitForTimeout(1500);
  expect((await share()) === pausedAt, 'the upload goes on although it is paused');
  await row.getByRole('button', { name: `Resume ${name}` }).click();
  await until('the upload does not resume', async () => (await share()) >= pausedAt + 10);

  await page.reload();
  await page.locator(`[data-interrupted="${name}"]`).waitFor();
  await input.setInputFiles(file);
  await until('the upload does not continue after a reload', async () =>
    ((await row.textContent()) ?? '').includes('continued at'),
  );
  const words = (await row.textContent()) ?? '';
  const continuedAt = /continued at ([\d.]+ \w)/.exec(words)?.[1] ?? '';
  await setSpeed(line, null);

  const watch = row.locator('[data-watch]');
  const stages = new Set();
  await until(
    'no watch link appears',
    async () => {
      stages.add(`${await row.getAttribute('data-phase')}/${await row.getAttribute('data-state')}`);
      expect((await row.getAttribute('data-state')) !== 'failed', `refused: ${await row.textContent()}`);
      return (await watch.count()) > 0;
    },
    PLAYABLE_DEADLINE_MS,
  );
  const path = await watch.getAttribute('data-watch');
  await until(
    'the renditions show no progress',
    async () => {
      const bars = row.locator('[data-rendition] [role="progressbar"]');
      const shares = await bars.evaluateAll((all) => all.map((bar) => Number(bar.getAttribute('aria-valuenow'))));
      return shares.some((each) => each > 0) || (await row.getAttribute('data-state')) === 'ready';
    },
    PLAYABLE_DEADLINE_MS,
  );
  if (screenshot) await page.screenshot({ path: screenshot, fullPage: true });
  await until(
    'the asset does not become ready on the page',
    async () => {
      stages.add(`${await row.getAttribute('data-phase')}/${await row.getAttribute('data-state')}`);
      return (await row.getAttribute('data-state')) === 'ready';
    },
    PLAYABLE_DEADLINE_MS,
  );
  return { watch: path, pausedAt, continuedAt, stages: [...stages] };
});
