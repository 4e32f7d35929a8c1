/**
 * Plays an encrypted asset for some seconds: by hls.js where it can, and by Shaka Player.
 *
 * Usage: node locked.mjs BASE_URL PLAYBACK_ID METHOD
 *
 * METHOD is `aes-128` or `cbcs`: samples of CMAF with a plain key are nothing that hls.js decrypts, Shaka Player does
 * with the browser's ClearKey. Prints one line of JSON; exits 1 with a reason.
 */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import process from 'node:process';

import { expect, run, until } from './browser.mjs';

const PLAY_S = 3;

const [baseUrl, playback, method] = process.argv.slice(2);
if (!baseUrl || !playback || !method) {
  process.stderr.write('usage: node locked.mjs BASE_URL PLAYBACK_ID METHOD\n');
  process.exit(2);
}

/** @param {string} name */
const library = (name) => readFileSync(createRequire(import.meta.url).resolve(name), 'utf8');

await run(baseUrl, async (page) => {
  const url = `${baseUrl}/v/${playback}/master.m3u8`;
  const blank = '<!doctype html><title>Locked</title><video muted width="640"></video>';
  await page.route(`${baseUrl}/locked`, (route) => route.fulfill({ contentType: 'text/html', body: blank }));
  await page.goto(`${baseUrl}/locked`);
  await page.evaluate(library('shaka-player/dist/shaka-player.compiled.js'));
  await page.evaluate(library('hls.js/dist/hls.js'));
  /** @type {string[]} */
  const keys = [];
  page.on('request', (request) => {
    if (request.url().includes('/keys/')) keys.push(request.url().slice(`${baseUrl}/v/${playback}`.length));
  });

  /** @param {string} what */
  const plays = async (what) => {
    await until(`${what} does not play`, async () => {
      const { now, error, faults } = await page.evaluate(() => {
        const video = /** @type {HTMLVideoElement} */ (document.querySelector('video'));
        const { faults } = /** @type {any} */ (window);
        return { now: video.currentTime, error: video.error?.message ?? null, faults };
      });
      expect(error === null && faults.length === 0, `${what}: ${error} ${JSON.stringify(faults)}`);
      return now >= PLAY_S;
    });
    return page.evaluate(() => {
      const video = /** @type {HTMLVideoElement} */ (document.querySelector('video'));
      const quality = video.getVideoPlaybackQuality();
      return { now: video.currentTime, width: video.videoWidth, frames: quality.totalVideoFrames };
    });
  };

  const clearKey = await page.evaluate(async () => {
    const audioCapabilities = [{ contentType: 'audio/mp4; codecs="mp4a.40.2"', encryptionScheme: 'cbcs' }];
    const asked = [{ initDataTypes: ['keyids'], audioCapabilities }];
    return navigator.requestMediaKeySystemAccess('org.w3.clearkey', asked).then(
      () => true,
      () => false,
    );
  });

  /** @type {any} */
  let hls = null;
  if (method === 'aes-128') {
    await page.evaluate(async (url) => {
      const own = /** @type {any} */ (window);
      own.faults = [];
      const video = /** @type {HTMLVideoElement} */ (document.querySelector('video'));
      const player = new own.Hls();
      own.hls = player;
      player.on(own.Hls.Events.ERROR, (/** @type {any} */ _, /** @type {any} */ data) => {
        if (data.fatal) own.faults.push([data.type, data.details]);
      });
      player.loadSource(url);
      player.attachMedia(video);
      await new Promise((resolve) => player.once(own.Hls.Events.MANIFEST_PARSED, resolve));
      await video.play();
    }, url);
    hls = await plays('hls.js');
    await page.evaluate(() => /** @type {any} */ (window).hls.destroy());
  }

  await page.evaluate(async (url) => {
    const own = /** @type {any} */ (window);
    own.faults = [];
    own.shaka.polyfill.installAll();
    const player = new own.shaka.Player();
    own.player = player;
    player.addEventListener('error', (/** @type {any} */ event) => own.faults.push([event.detail.code, ...event.detail.data]));
    const video = /** @type {HTMLVideoElement} */ (document.querySelector('video'));
    await player.attach(video);
    await player.load(url).catch((/** @type {any} */ error) => {
      throw new Error(`Shaka Player: ${error.code} ${JSON.stringify(error.data)}`);
    });
    await video.play();
  }, url);
  const shaka = await plays('Shaka Player');
  await page.evaluate(() => /** @type {any} */ (window).player.destroy());
  return { clearKey, hls, shaka, keys: [...new Set(keys)] };
});
