/**
 * Plays an asset through the watch page where content steering sends it to other hosts, of which the first is down.
 *
 * Usage: node steered.mjs BASE_URL WATCH_PATH DOWN_ORIGIN OTHER_ORIGIN
 *
 * Prints one line of JSON with how many segments came from which host; exits 1 with a reason.
 */

import process from 'node:process';

import { expect, run, until } from './browser.mjs';

const PLAY_S = 3;

const [baseUrl, watchPath, down, other] = process.argv.slice(2);
if (!baseUrl || !watchPath || !down || !other) {
  process.stderr.write('usage: node steered.mjs BASE_URL WATCH_PATH DOWN_ORIGIN OTHER_ORIGIN\n');
  process.exit(2);
}

await run(
  baseUrl,
  async (page) => {
    // Browsers ask before a page takes anything from another name of this machine.
    await page.context().grantPermissions(['local-network-access']);
    /** @type {Record<string, number>} */
    const segments = {};
    /** @type {string[]} */
    const steering = [];
    /** @type {string[]} */
    const refused = [];
    page.on('response', (response) => {
      const url = new URL(response.url());
      if (url.pathname.endsWith('.m4s') && response.ok()) segments[url.origin] = (segments[url.origin] ?? 0) + 1;
      if (url.pathname.endsWith('/steering.json')) steering.push(url.search);
    });
    page.on('requestfailed', (request) => {
      if (request.url().startsWith(down)) refused.push(request.failure()?.errorText ?? '');
    });
    await page.goto(new URL(watchPath, baseUrl).href);
    const video = page.locator('video');
    await video.evaluate((element) => {
      void (/** @type {HTMLVideoElement} */ (element).play().catch(() => undefined));
    });
    let seen = '';
    await until(() => `it does not play from another host: ${seen}`, async () => {
      const { at, error } = await video.evaluate((element) => {
        const { currentTime, error } = /** @type {HTMLVideoElement} */ (element);
        return { at: currentTime, error: error?.message ?? null };
      });
      seen = `at ${at} s, ${JSON.stringify(segments)}`;
      expect(error === null, `${error}, ${seen}`);
      return at >= PLAY_S && (segments[other] ?? 0) > 0;
    });
    expect(refused.length > 0, 'the first host was not asked');
    return { segments, steering, refused };
  },
  (url) => url.startsWith(other) || url.startsWith(down),
);
