/**
 * Plays an asset through the watch page as a viewer would, and says what happened.
 *
 * Usage: node watch.mjs BASE_URL WATCH_PATH [SCREENSHOT.png]
 *
 * The asset has at least two renditions, two audio languages, a subtitle track and two chapters. Plays 10 s, seeks to
 * five places on the seek bar, and uses each menu of the page. Prints one line of JSON; exits 1 with a reason.
 */

import process from 'node:process';

import { expect, run, until } from './browser.mjs';

const PLAY_S = 10;
const SEEK_SHARES = [0.72, 0.15, 0.9, 0.45, 0.03];
/** A burst is when a viewer sees it stutter: more than this share of one second's frames dropped. */
const DROPPED_SHARE_MAX = 0.5;

const [baseUrl, watchPath, screenshot] = process.argv.slice(2);
if (!baseUrl || !watchPath) {
  process.stderr.write('usage: node watch.mjs BASE_URL WATCH_PATH [SCREENSHOT.png]\n');
  process.exit(2);
}

/** @typedef {{ text: string, value: string, at: number }} Entry */

/** A viewer at the player. */
class Watching {
  /** @param {import('playwright-core').Page} page */
  constructor(page) {
    this.page = page;
    this.player = page.locator('[data-player]');
  }

  /** What the media element says of itself. */
  read() {
    return this.page.locator('video').evaluate((element) => {
      const video = /** @type {HTMLVideoElement} */ (element);
      const quality = video.getVideoPlaybackQuality();
      return {
        at: video.currentTime,
        duration: video.duration,
        frames: quality.totalVideoFrames,
        dropped: quality.droppedVideoFrames,
        height: Math.min(video.videoWidth, video.videoHeight),
        isPaused: video.paused,
        error: video.error?.message ?? null,
      };
    });
  }

  /** Waits until the picture moves by `seconds`. @param {string} when */
  async advances(when, seconds = 0.5) {
    const from = (await this.read()).at;
    await until(`playback does not advance ${when}`, async () => {
      const now = await this.read();
      expect(now.error === null, `the video failed ${when}: ${now.error}`);
      return now.at - from >= seconds || now.at >= now.duration - 0.1;
    });
  }

  /** Presses play unless it plays, or is about to. */
  async resume() {
    if (!(await this.read()).isPaused) return;
    await this.page.locator('media-play-button').click();
  }

  /** @param {number} seconds */
  async playsOn(seconds) {
    await this.resume();
    await this.advances('at the start');
    const start = await this.read();
    const perSecond = [];
    let before = start;
    for (let second = 0; second < seconds; second += 1) {
      await this.page.waitForTimeout(1000);
      const now = await this.read();
      expect(now.error === null, `the video failed after ${now.at} s: ${now.error}`);
      perSecond.push({ frames: now.frames - before.frames, dropped: now.dropped - before.dropped });
      before = now;
    }
    const played = before.at - start.at;
    expect(played >= seconds * 0.85, `only ${played.toFixed(2)} s were played in ${seconds} s`);
    for (const [second, { frames, dropped }] of perSecond.entries()) {
      const isBurst = dropped > Math.max(frames, 1) * DROPPED_SHARE_MAX;
      expect(!isBurst, `${dropped} of ${frames} frames were dropped in second ${second}`);
    }
    return { seconds: played, frames: before.frames - start.frames, dropped: before.dropped - start.dropped };
  }

  /** Clicks the seek bar at five places. */
  async seeks() {
    const { duration } = await this.read();
    const results = [];
    for (const share of SEEK_SHARES) {
      const bar = await this.page.locator('media-time-range').boundingBox();
      expect(bar, 'there is no seek bar');
      // The bar's own padding is not part of the way; half of it on each side is close enough to aim.
      const asked = Date.now();
      await this.page.mouse.click(bar.x + bar.width * share, bar.y + bar.height / 2);
      const target = duration * share;
      await until(`the seek to ${target.toFixed(1)} s does not land`, async () => {
        const { at } = await this.read();
        return Math.abs(at - target) < Math.max(1.5, duration * 0.03);
      });
      await this.resume();
      await this.advances(`after the seek to ${target.toFixed(1)} s`, 0.3);
      results.push({ target, landed: (await this.read()).at, ms: Date.now() - asked });
    }
    return results;
  }

  /**
   * Opens a menu of the page and chooses the entry for which `choose` is true.
   *
   * @param {string} menu
   * @param {(entry: Entry, all: Entry[]) => boolean} choose
   */
  async pick(menu, choose) {
    await this.page.locator('video').hover();
    await this.page.locator(`[data-button="${menu}"]`).click();
    const items = this.page.locator(`[data-menu="${menu}"] media-chrome-menu-item`);
    await items.first().waitFor({ state: 'visible' });
    const entries = await items.evaluateAll((elements) =>
      elements.map((element, at) => ({
        at,
        text: (element.textContent ?? '').trim().replace(/\s+/g, ' '),
        value: element.getAttribute('value') ?? String(/** @type {any} */ (element).value ?? ''),
      })),
    );
    const entry = entries.find((candidate) => choose(candidate, entries));
    expect(entry, `the ${menu} menu has no such entry: ${entries.map(({ text }) => text).join(', ')}`);
    await items.nth(entry.at).click();
    await this.page.keyboard.press('Escape');
    return { entry, entries };
  }

  /** Chooses the best rendition, then the smallest, then leaves the choice to the player again. */
  async switchesRenditions() {
    /** @type {{ text: string, value: string }[]} */
    const visited = [];
    let names = [''];
    const choices = [
      /** @param {Entry[]} all */ (all) => all[0],
      /** @param {Entry[]} all */ (all) => all.at(-1),
    ];
    for (const choice of choices) {
      await this.rewindIfLate();
      const { entry, entries } = await this.pick('quality', (candidate, all) => {
        const fixed = all.filter(({ value }) => value !== 'auto');
        return choice(fixed)?.at === candidate.at;
      });
      names = entries.map(({ text }) => text);
      await this.reaches(Number.parseInt(entry.text, 10));
      visited.push(entry);
    }
    const [first, second] = visited;
    expect(first?.value !== second?.value, 'there is only one rendition');
    await this.pick('quality', ({ value }) => value === 'auto');
    return { names, visited: visited.map(({ text }) => text) };
  }

  /** Waits until the picture has this height and moves. @param {number} height */
  async reaches(height) {
    await until(`the picture does not become ${height}p`, async () => {
      await this.rewindIfLate();
      return (await this.read()).height === height;
    });
    await this.advances(`at ${height}p`);
    return height;
  }

  /** Keeps clear of the end, where nothing moves any more. */
  async rewindIfLate() {
    const { at, duration } = await this.read();
    if (at < duration * 0.7) return;
    const bar = await this.page.locator('media-time-range').boundingBox();
    expect(bar, 'there is no seek bar');
    await this.page.mouse.click(bar.x + bar.width * 0.1, bar.y + bar.height / 2);
    await this.resume();
  }

  async switchesAudio() {
    await this.rewindIfLate();
    const before = await this.player.getAttribute('data-audio');
    const { entry } = await this.pick('audio', ({ at }) => at === 1);
    await until('the audio does not change', async () => (await this.player.getAttribute('data-audio')) !== before);
    await this.advances('after the change of audio', 1);
    return { from: before, to: await this.player.getAttribute('data-audio'), entry: entry.text };
  }

  async switchesSubtitles() {
    await this.rewindIfLate();
    const { entries, entry } = await this.pick('subtitles', ({ value }) => value !== 'off' && value !== '');
    await until('no subtitles are on', async () => (await this.player.getAttribute('data-subtitles')) !== 'off');
    let cue = '';
    await until('no subtitle appears', async () => {
      await this.rewindIfLate();
      cue = await this.page.locator('video').evaluate((element) => {
        const tracks = [.../** @type {HTMLVideoElement} */ (element).textTracks];
        const shown = tracks.filter(({ kind, mode }) => kind !== 'metadata' && kind !== 'chapters' && mode === 'showing');
        const cues = shown.flatMap((track) => [...(track.activeCues ?? [])]);
        return cues.map((active) => /** @type {VTTCue} */ (active).text).join(' / ');
      });
      return cue !== '';
    });
    return { names: entries.map(({ text }) => text), chosen: entry.text, cue };
  }

  async jumpsToChapter() {
    const { entry, entries } = await this.pick('chapters', ({ at }) => at === 1);
    await until('the chapter is not reached', async () => (await this.player.getAttribute('data-chapter')) === '1');
    await this.advances('in the chapter');
    return { chosen: entry.text, count: entries.length, at: (await this.read()).at };
  }

  /** Holds the pointer over the seek bar: the storyboard's picture of that place appears. */
  async previews() {
    await this.page.evaluate(() => scrollTo(0, 0));
    const bar = await this.page.locator('media-time-range').boundingBox();
    expect(bar, 'there is no seek bar');
    await this.page.mouse.move(bar.x + bar.width * 0.58, bar.y + bar.height / 2);
    let image = '';
    await until('no preview picture appears over the seek bar', async () => {
      image = await this.page
        .locator('media-preview-thumbnail img')
        .evaluate((element) => {
          const picture = /** @type {HTMLImageElement} */ (element);
          return picture.complete && picture.naturalWidth > 0 ? picture.src : '';
        });
      return image !== '';
    });
    await until('the preview stays hidden', () =>
      this.page.locator('media-time-range [part~="preview-box"]').evaluate((box) => getComputedStyle(box).opacity === '1'),
    );
    return new URL(image).pathname;
  }
}

await run(baseUrl, async (page) => {
  await page.goto(new URL(watchPath, baseUrl).href);
  const player = page.locator('[data-player]');
  await until('the player did not load', async () =>
    ['paused', 'playing'].includes((await player.getAttribute('data-state')) ?? ''),
  );
  const watching = new Watching(page);
  const report = {
    duration: (await watching.read()).duration,
    played: await watching.playsOn(PLAY_S),
    seeks: await watching.seeks(),
    renditions: await watching.switchesRenditions(),
    audio: await watching.switchesAudio(),
    subtitles: await watching.switchesSubtitles(),
    chapter: await watching.jumpsToChapter(),
    preview: await watching.previews(),
  };
  if (screenshot) await page.screenshot({ path: screenshot });
  const fault = page.locator('[data-fault]');
  expect((await fault.count()) === 0, 'the player shows a fault');
  return report;
});
