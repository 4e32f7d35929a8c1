/**
 * Plays an encrypted asset for some seconds: by hls.js where it can, and by Shaka Player.
 *
 * Usage: node locked.mjs BASE_URL PLAYBACK_ID METHOD
 *
 * METHOD is `aes-128` or `cbcs`: samples of CMAF with a plain key are nothing that hls.js decrypts, Shaka Player does
 * with the browser's ClearKey, of HLS and of DASH. Prints one line of JSON; exits 1 with a reason.
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

  /**
   * @param {string} url
   * @param {Record<string, string>} clearKeys by the keys' identifiers
   */
  const load = (url, clearKeys) => page.evaluate(async ([url, clearKeys]) => {
    const own = /** @type {any} */ (window);
    own.faults = [];
    own.shaka.polyfill.installAll();
    const player = new own.shaka.Player();
    own.player = player;
    player.addEventListener('error', (/** @type {any} */ event) => own.faults.push([event.detail.code, ...event.detail.data]));
    player.configure({ drm: { clearKeys } });
    const video = /** @type {HTMLVideoElement} */ (document.querySelector('video'));
    await player.attach(video);
    await player.load(url).catch((/** @type {any} */ error) => {
      throw new Error(`Shaka Player: ${error.code} ${JSON.stringify(error.data)}`);
    });
    await video.play();
  }, /** @type {const} */ ([url, clearKeys]));
  await load(url, {});
  const shaka = await plays('Shaka Player');
  await page.evaluate(() => /** @type {any} */ (window).player.destroy());

  // A manifest names keys and does not say where they are: the page gets them for the player.
  /** @type {any} */
  let dash = null;
  if (method === 'cbcs') {
    const manifest = await (await fetch(`${baseUrl}/v/${playback}/manifest.mpd`)).text();
    const id = /cenc:default_KID="([^"]+)"/.exec(manifest)?.[1]?.replaceAll('-', '');
    expect(id !== undefined, `no key is named in ${manifest}`);
    const key = await (await fetch(`${baseUrl}/v/${playback}/keys/1/0`)).arrayBuffer();
    await load(`${baseUrl}/v/${playback}/manifest.mpd`, { [String(id)]: Buffer.from(key).toString('hex') });
    dash = await plays('Shaka Player with DASH');
    await page.evaluate(() => /** @type {any} */ (window).player.destroy());
  }
  return { clearKey, hls, shaka, dash, keys: [...new Set(keys)] };
});
