/**
 * Plays an asset by hls.js where content steering sends it to other hosts, of which the first is down.
 *
 * Usage: node steered.mjs BASE_URL PLAYBACK_ID DOWN_ORIGIN OTHER_ORIGIN
 *
 * Prints one line of JSON with how many segments came from which host; exits 1 with a reason.
 */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import process from 'node:process';

import { expect, run, until } from './browser.mjs';

/** Little enough ahead that there is something left to take from elsewhere. */
const BUFFER_S = 4;
const PLAY_S = 3;

const [baseUrl, playback, down, other] = process.argv.slice(2);
if (!baseUrl || !playback || !down || !other) {
  process.stderr.write('usage: node steered.mjs BASE_URL PLAYBACK_ID DOWN_ORIGIN OTHER_ORIGIN\n');
  process.exit(2);
}

await run(
  baseUrl,
  async (page) => {
    const blank = '<!doctype html><title>Steered</title><video muted width="640"></video>';
    await page.route(`${baseUrl}/steered`, (route) => route.fulfill({ contentType: 'text/html', body: blank }));
    // Without this a page that is made up may ask other names of this machine for nothing.
    await page.context().grantPermissions(['local-network-access']);
    await page.goto(`${baseUrl}/steered`);
    await page.evaluate(readFileSync(createRequire(import.meta.url).resolve('hls.js/dist/hls.js'), 'utf8'));
    /** @type {Record<string, number>} */
    const segments = {};
    /** @type {string[]} */
    const steering = [];
    page.on('response', (response) => {
      const url = new URL(response.url());
      if (url.pathname.endsWith('.m4s') && response.ok()) segments[url.origin] = (segments[url.origin] ?? 0) + 1;
      if (url.pathname.endsWith('/steering.json')) steering.push(url.search);
    });
    await page.evaluate(async ({ url, ahead }) => {
      const own = /** @type {any} */ (window);
      own.faults = [];
      const video = /** @type {HTMLVideoElement} */ (document.querySelector('video'));
      const player = new own.Hls({ maxBufferLength: ahead, maxMaxBufferLength: ahead });
      own.hls = player;
      player.on(own.Hls.Events.ERROR, (/** @type {any} */ _, /** @type {any} */ data) => {
        if (data.fatal) own.faults.push([data.type, data.details]);
      });
      player.loadSource(url);
      player.attachMedia(video);
      await new Promise((resolve) => player.once(own.Hls.Events.MANIFEST_PARSED, resolve));
      await video.play();
    }, { url: `${baseUrl}/v/${playback}/master.m3u8`, ahead: BUFFER_S });
    await until('it does not play from another host', async () => {
      const { now, error, faults } = await page.evaluate(() => {
        const video = /** @type {HTMLVideoElement} */ (document.querySelector('video'));
        const { faults } = /** @type {any} */ (window);
        return { now: video.currentTime, error: video.error?.message ?? null, faults };
      });
      expect(error === null && faults.length === 0, `${error} ${JSON.stringify(faults)}`);
      return now >= PLAY_S && (segments[other] ?? 0) > 0;
    }, 60_000);
    return { segments, steering };
  },
  (url) => url.startsWith(other) || url.startsWith(down),
);
