/**
 * Plays the other forms of an asset: DASH by Shaka Player, MPEG-TS and a clip by hls.js, each for some seconds.
 *
 * Usage: node forms.mjs BASE_URL WATCH_PATH
 *
 * Prints one line of JSON; exits 1 with a reason. The asset lasts 20 s or more, has two audio languages, a subtitle
 * track and a storyboard.
 */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import process from 'node:process';

import { expect, run, until } from './browser.mjs';

const PLAY_S = 3;
const CLIP = { start: 5.5, end: 15 };

const [baseUrl, watchPath] = process.argv.slice(2);
const playback = watchPath?.match(/plb_[0-9a-z]+/)?.[0];
if (!baseUrl || !playback) {
  process.stderr.write('usage: node forms.mjs BASE_URL WATCH_PATH\n');
  process.exit(2);
}

/** @param {string} name */
const library = (name) => readFileSync(createRequire(import.meta.url).resolve(name), 'utf8');

await run(baseUrl, async (page) => {
  const base = `${baseUrl}/v/${playback}`;
  // A page of the same origin that may run scripts which are not ours, as the server's own may not.
  const blank = '<!doctype html><title>Forms</title><video muted width="640"></video>';
  await page.route(`${baseUrl}/forms`, (route) => route.fulfill({ contentType: 'text/html', body: blank }));
  await page.goto(`${baseUrl}/forms`);
  await page.evaluate(library('shaka-player/dist/shaka-player.compiled.js'));
  await page.evaluate(library('hls.js/dist/hls.js'));

  const at = () =>
    page.evaluate(() => {
      const video = /** @type {HTMLVideoElement} */ (document.querySelector('video'));
      return { now: video.currentTime, duration: video.duration, width: video.videoWidth, error: video.error?.message ?? null };
    });
  /** @param {string} what */
  const plays = async (what) => {
    const from = (await at()).now;
    await until(`${what} does not play`, async () => {
      const { now, error } = await at();
      const faults = await page.evaluate(() => /** @type {any} */ (window).faults);
      expect(error === null && faults.length === 0, `${what}: ${error} ${JSON.stringify(faults)}`);
      return now - from >= PLAY_S;
    });
    return { from, ...(await at()) };
  };

  const dash = await page.evaluate(async (url) => {
    const { shaka } = /** @type {any} */ (window);
    const own = /** @type {any} */ (window);
    own.faults = [];
    shaka.polyfill.installAll();
    const player = new shaka.Player();
    own.player = player;
    player.addEventListener('error', (/** @type {any} */ event) => own.faults.push([event.detail.code, ...event.detail.data]));
    const video = /** @type {HTMLVideoElement} */ (document.querySelector('video'));
    await player.attach(video);
    await player.load(url);
    await video.play();
    const images = player.getImageTracks();
    const thumbnail = images.length > 0 ? await player.getThumbnails(images[0].id, 3) : null;
    const texts = player.getTextTracks();
    if (texts.length > 0) await player.selectTextTrack(texts[0]);
    return {
      heights: [...new Set(player.getVariantTracks().map((/** @type {any} */ track) => track.height))].sort((a, b) => a - b),
      languages: [...new Set(player.getVariantTracks().map((/** @type {any} */ track) => track.language))].sort(),
      texts: texts.map((/** @type {any} */ track) => track.language),
      thumbnail: thumbnail && { x: thumbnail.positionX, width: thumbnail.width, start: thumbnail.startTime },
    };
  }, `${base}/manifest.mpd`);
  const played = await plays('DASH');
  const cues = await page.evaluate(async () => {
    const { player } = /** @type {any} */ (window);
    const track = /** @type {HTMLVideoElement} */ (document.querySelector('video')).textTracks;
    const count = [...track].reduce((sum, one) => sum + (one.cues?.length ?? 0), 0);
    await player.destroy();
    return count;
  });

  /** @param {string} url */
  const hls = async (url) => {
    await page.evaluate(async (url) => {
      const own = /** @type {any} */ (window);
      own.faults = [];
      own.hls?.destroy();
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
    return plays(url.slice(base.length));
  };
  const ts = await hls(`${base}/master.m3u8?container=ts`);
  const clip = await hls(`${base}/master.m3u8?start=${CLIP.start}&end=${CLIP.end}`);
  return { dash: { ...dash, ...played, cues }, ts, clip };
});
