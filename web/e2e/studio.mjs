/**
 * What an uploader and a moderator do with videos: described, reviewed, published, put into chapters, subtitled,
 * scheduled, shared, put in order, found, deleted and brought back.
 *
 * Usage: node studio.mjs BASE_URL SETUP_LINK FILE OTHER_FILE [PICTURES_FOLDER]
 *
 * The server has accounts, a review and a bin. FILE lasts 10 s or more. Prints one line of JSON; exits 1 with a reason.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import process from 'node:process';

import { ROOT, ask, become, expect, expectNeat, run, setUp, show, until } from './browser.mjs';

const READY_DEADLINE_MS = 240_000;
/** More than a page of a list holds. */
const LISTS = 23;
const UNA = { email: 'una@example.org', password: 'una has a long password' };
const SUBTITLES = '1\n00:00:02,000 --> 00:00:04,000\nLe dragon dort.\n\n2\n00:00:06,500 --> 00:00:09,000\nLe chevalier arrive.\n';

const [baseUrl, setupLink, file, otherFile, pictures] = process.argv.slice(2);
if (!baseUrl || !setupLink || !file || !otherFile) {
  process.stderr.write('usage: node studio.mjs BASE_URL SETUP_LINK FILE OTHER_FILE [PICTURES_FOLDER]\n');
  process.exit(2);
}

const folder = mkdtempSync(join(tmpdir(), 'headwater-studio-'));
const srt = join(folder, 'dragon.srt');
writeFileSync(srt, SUBTITLES);

/** The pages of one video, and of what it is put into. */
class Studio {
  /** @param {import('playwright-core').Page} page @param {string} base */
  constructor(page, base) {
    this.page = page;
    this.base = base;
    this.asset = '';
  }

  /** @param {string} name */
  async picture(name) {
    if (pictures) await this.page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
  }

  /** @param {string} heading */
  panel(heading) {
    return this.page.locator('section.panel', { has: this.page.getByRole('heading', { name: heading, exact: true }) });
  }

  async open() {
    await show(this.page, this.base, `/studio/${this.asset}`);
  }

  /** The asset as the server tells it. */
  async told() {
    return (await ask(this.page, 'GET', `/api/v1/assets/${this.asset}`)).body;
  }

  /** @param {{ email: string, password: string }} who */
  async as(who) {
    await become(this.page, who);
  }

  /** Two files, and the library that follows them. @param {string[]} files */
  async upload(files) {
    const { page } = this;
    await show(page, this.base, '/');
    await page.locator('input[type="file"]').setInputFiles(files);
    for (const each of files) {
      const row = page.locator(`[data-upload="${basename(each)}"]`);
      await until('the upload does not end', async () => (await row.getAttribute('data-phase')) === 'uploaded', READY_DEADLINE_MS);
    }
    // Other pages leave uploads as they are.
    const pages = page.getByRole('navigation', { name: 'Pages' });
    await pages.getByRole('link', { name: 'Search' }).click();
    await page.getByRole('heading', { level: 1, name: 'Search' }).waitFor();
    await pages.getByRole('link', { name: 'Upload' }).click();
    for (const each of files) await page.locator(`[data-upload="${basename(each)}"]`).waitFor();
    await pages.getByRole('link', { name: 'Library' }).click();
    const rows = page.locator('li[data-asset]');
    await until(
      'the videos do not become ready in the library',
      async () => {
        const states = await rows.evaluateAll((all) => all.map((row) => row.getAttribute('data-state')));
        expect(!states.includes('failed'), 'a video failed');
        return states.length === files.length && states.every((state) => state === 'ready');
      },
      READY_DEADLINE_MS,
    );
    expect((await rows.first().getAttribute('data-stage')) === 'draft', 'what is uploaded is no draft');
    this.asset = (await rows.filter({ hasText: basename(file ?? '').replace(/\.\w+$/, '') }).first().getAttribute('data-asset')) ?? '';
    await this.picture('library');
  }

  async filters() {
    const { page } = this;
    await page.getByLabel('State').selectOption('failed');
    await page.locator('[data-empty]').waitFor();
    expect(page.url().endsWith('?state=failed'), `the filter is not kept: ${page.url()}`);
    await page.reload();
    await page.locator('[data-empty]').waitFor();
    await page.getByRole('button', { name: 'Clear filters' }).click();
    await until('the list does not come back', async () => (await page.locator('li[data-asset]').count()) === 2);
  }

  /** Writes what is said about it, while somebody else does too. */
  async describe() {
    const { page } = this;
    await page.locator(`li[data-asset="${this.asset}"]`).getByRole('link').first().click();
    const details = this.panel('Details');
    await details.getByLabel('Title').fill('Le château');
    await details.getByLabel('Tags').fill('noir, dragons');
    await details.getByLabel('Release day').fill('1999-03-31');
    await details.getByRole('button', { name: 'Add: People' }).click();
    await details.getByLabel('Name 1').fill('Ada');
    await details.getByLabel('Role 1').fill('director');
    await details.getByRole('button', { name: 'Add: Ids elsewhere' }).click();
    await details.getByLabel('Scheme 1').fill('imdb');
    await details.getByLabel('Id 1').fill('tt0133093');
    await details.getByRole('button', { name: 'Save' }).click();
    await until('the details are not saved', async () => (await page.locator('[data-done="details"]').textContent()) === 'Saved.');
    await page.getByRole('heading', { level: 1, name: 'Le château' }).waitFor();
    const saved = await this.told();
    expect(saved.people[0]?.name === 'Ada' && saved.external_ids.imdb === 'tt0133093', `saved: ${JSON.stringify(saved.people)}`);

    // Two fields are changed by somebody else: one of them here too.
    const { tag } = await ask(page, 'GET', `/api/v1/assets/${this.asset}`);
    const theirs = { title: 'The castle', genres: ['fantasy'] };
    const changed = await ask(page, 'PATCH', `/api/v1/assets/${this.asset}`, { body: theirs, headers: { 'if-match': tag } });
    expect(changed.status === 200, `the other change: ${changed.status}`);
    await details.getByLabel('Title').fill('Château noir');
    await details.getByLabel('Description').fill('Deux lignes.\nEt demie.');
    await details.getByRole('button', { name: 'Save' }).click();
    const title = details.locator('[data-difference="title"]');
    await title.waitFor();
    expect(((await title.textContent()) ?? '').includes('The castle'), 'it does not say what the other one wrote');
    expect((await details.locator('[data-difference="genres"]').textContent())?.includes('theirs is taken'), 'what only they changed is disputed');
    await this.picture('conflict');
    await title.getByRole('button', { name: 'Keep mine' }).click();
    await details.getByRole('button', { name: 'Save' }).click();
    await until('the conflict is not over', async () => (await this.told()).title === 'Château noir');
    const met = await this.told();
    expect(met.genres[0] === 'fantasy' && met.description === 'Deux lignes.\nEt demie.', `met: ${JSON.stringify(met.genres)}`);
  }

  /** @param {string} stage */
  async goes(stage) {
    await this.panel('Publication').locator(`[data-go="${stage}"]`).click();
  }

  /** @param {string} stage */
  async isIn(stage) {
    await until(`it does not become ${stage}`, async () => (await this.panel('Publication').getAttribute('data-stage')) === stage);
  }

  /** From draft through a refusal and an approval to everybody. */
  async review() {
    const { page } = this;
    await page.locator('[data-not-played]').waitFor();
    await this.goes('published');
    await this.panel('Publication').locator('[data-problem]').waitFor();
    await until('what is refused is offered again', async () => (await this.panel('Publication').locator('[data-go="published"]').count()) === 0);
    await this.goes('submitted');
    await this.isIn('submitted');

    await this.as(ROOT);
    await show(page, this.base, '/reviews');
    const row = page.locator(`[data-review="${this.asset}"]`);
    await row.getByRole('button', { name: 'Look at it' }).click();
    await row.locator('[data-preview="true"] [data-player]').waitFor();
    const video = row.locator('video');
    await until('a reviewer does not play it', () => video.evaluate((element) => /** @type {HTMLVideoElement} */ (element).readyState >= 2), READY_DEADLINE_MS);
    await this.picture('review');
    await row.getByLabel('Note for the owner').fill('Sound is missing.');
    await row.getByRole('button', { name: 'Reject Château noir' }).click();
    await until('the review is not over', async () => (await row.count()) === 0);

    await this.as(UNA);
    await this.open();
    await this.panel('Publication').getByText('Sound is missing.').waitFor();
    await this.goes('submitted');
    await this.isIn('submitted');
    await this.as(ROOT);
    await show(page, this.base, '/reviews');
    await row.getByRole('button', { name: 'Approve Château noir' }).click();
    await until('the review is not over', async () => (await row.count()) === 0);

    await this.as(UNA);
    await this.open();
    await this.goes('published');
    await this.isIn('published');
    await page.locator('[data-player]').waitFor();
  }

  /** A chapter where the player is, and one typed in. */
  async chapters() {
    const { page } = this;
    const panel = this.panel('Chapters');
    const before = (await this.told()).chapters.length;
    const video = page.locator('video');
    await until('the player has nothing', () => video.evaluate((element) => /** @type {HTMLVideoElement} */ (element).readyState >= 2));
    await video.evaluate((element) => (/** @type {HTMLVideoElement} */ (element).currentTime = 5.25));
    const add = panel.getByRole('button', { name: 'Add a chapter at 0:05' });
    await add.waitFor();
    const rows = Number(await panel.getAttribute('data-chapters'));
    await add.click();
    await until('no chapter is added', async () => Number(await panel.getAttribute('data-chapters')) === rows + 1);
    const starts = await panel.locator('input.start').evaluateAll((all) => all.map((input) => /** @type {HTMLInputElement} */ (input).value));
    const at = starts.indexOf('0:05.25');
    expect(at >= 0, `the chapter does not start where the player is: ${starts}`);
    await panel.getByLabel(`Title of chapter ${at + 1}`).fill('Le milieu');
    await panel.getByLabel('Start of chapter 1').fill('nonsense');
    await panel.getByRole('alert').waitFor();
    expect(await panel.getByRole('button', { name: 'Save chapters' }).isDisabled(), 'nonsense can be saved');
    await panel.getByLabel('Start of chapter 1').fill(starts[0] ?? '0:00');
    await panel.getByRole('button', { name: 'Save chapters' }).click();
    await until('the chapters are not saved', async () => (await page.locator('[data-done="chapters"]').textContent()) === 'Saved.');
    const { chapters } = await this.told();
    const found = chapters.find((/** @type {any} */ each) => each.title === 'Le milieu');
    expect(found && Math.abs(found.start_seconds - 5.25) < 0.01, `chapters: ${JSON.stringify(chapters)}`);
    expect(chapters.length > before, 'a chapter was lost');
    await panel.getByRole('button', { name: `Play from chapter ${at + 1}` }).click();
    await until('it does not play from the chapter', () => video.evaluate((element) => Math.abs(/** @type {HTMLVideoElement} */ (element).currentTime - 5.25) < 3));
  }

  /** Another poster: a moment of the list, what the player shows, a picture, and back. */
  async poster() {
    const { page } = this;
    const panel = this.panel('Poster');
    const is = (/** @type {string} */ source) =>
      until(`the poster is not ${source}`, async () => (await panel.getAttribute('data-poster')) === source && (await panel.getAttribute('data-published')) === 'true', READY_DEADLINE_MS);
    await is('scored');
    const shown = async () => (await this.told()).playback.poster;
    const before = await shown();
    await panel.getByRole('button', { name: /^Take the picture at/ }).last().click();
    await is('time');
    await until('the address stays the same', async () => (await shown()) !== before);
    // It was a moment before, too: told apart by its address.
    const first = await shown();
    await panel.getByRole('button', { name: 'Take what the player shows' }).click();
    await until('the picture stays the same', async () => (await shown()) !== first);
    await is('time');
    await until('the panel stays busy', () => panel.getByLabel('A picture of your own').isEnabled());
    await panel.getByLabel('A picture of your own').setInputFiles({ name: 'x.jpg', mimeType: 'image/jpeg', buffer: Buffer.from('no picture') });
    await panel.locator('[data-problem]').waitFor();
    const png = await page.screenshot();
    await panel.getByLabel('A picture of your own').setInputFiles({ name: 'poster.png', mimeType: 'image/png', buffer: png });
    await is('picture');
    await this.picture('poster');
    await panel.getByRole('button', { name: 'Back to the best one' }).click();
    await is('scored');
    await until('the first address is not back', async () => (await shown()) === before);
  }

  async subtitles() {
    const { page } = this;
    const panel = this.panel('Subtitles');
    await panel.getByLabel('Subtitle file').setInputFiles(srt);
    await panel.getByLabel('Language').fill('fr');
    await panel.getByLabel('Name in the menu').fill('Français');
    await panel.getByLabel('Shown unless the viewer chooses otherwise').check();
    await panel.getByRole('button', { name: 'Add subtitles' }).click();
    const row = panel.locator('[data-subtitle="fr"]');
    await until('the subtitles are not read', async () => (await row.getAttribute('data-subtitle-state')) === 'ready', READY_DEADLINE_MS);
    expect(((await row.textContent()) ?? '').includes('2 cues'), 'it does not say how many cues there are');
    await row.getByRole('button', { name: 'Edit the words: Français' }).click();
    await panel.getByLabel('Text of cue 1').fill('Le dragon dort encore.');
    await panel.getByRole('button', { name: 'Add a cue after cue 2' }).click();
    await panel.getByLabel('Text of cue 3').fill('Fin.');
    // What happens to the video meanwhile takes nothing back.
    const { title } = await this.told();
    for (const other of ['Another title', title]) {
      const { status } = await ask(page, 'PATCH', `/api/v1/assets/${this.asset}`, { body: { title: other }, headers: { 'if-match': '*' } });
      expect(status === 200, `the title is not changed: ${status}`);
      await page.getByRole('heading', { level: 1, name: other }).waitFor();
    }
    expect((await panel.getByLabel('Text of cue 3').inputValue()) === 'Fin.', 'a cue is lost that was being written');
    await panel.getByRole('button', { name: 'Save the cues' }).click();
    await until('the edit is not read', async () => ((await row.textContent()) ?? '').includes('3 cues') && (await row.getAttribute('data-subtitle-state')) === 'ready', READY_DEADLINE_MS);
    await row.getByRole('button', { name: 'Change: Français' }).click();
    await panel.locator('[data-said]').getByLabel('For the deaf and hard of hearing').check();
    await panel.locator('[data-said]').getByRole('button', { name: 'Save' }).click();
    await until('it is not said', async () => ((await row.textContent()) ?? '').includes('for the deaf'));
    await page.setViewportSize({ width: 360, height: 780 });
    await expectNeat(page);
    await this.picture('studio-360');
    await page.setViewportSize({ width: 1280, height: 900 });
    await this.picture('studio');
  }

  /** Beside the video, for whoever plays it; put in order, named, refused, taken back. */
  async documents() {
    const { page } = this;
    const panel = this.panel('Documents');
    const row = (/** @type {string} */ name) => panel.locator(`[data-document="${name}"]`);
    for (const [name, content] of [['script.md', '# The script'], ['cast.csv', 'name,role']]) {
      await panel.getByLabel('File').setInputFiles({ name: name ?? '', mimeType: 'text/plain', buffer: Buffer.from(content ?? '') });
      await panel.getByRole('button', { name: 'Add document' }).click();
      await until('the document is not there', async () => (await row(name ?? '').getAttribute('data-document-state')) === 'ready');
    }
    await row('cast.csv').getByRole('button', { name: /cast\.csv.*up|up.*cast\.csv/i }).click();
    const first = panel.locator('[data-document]').first();
    await until('it is not the first', async () => (await first.getAttribute('data-document')) === 'cast.csv');
    await row('script.md').getByRole('button', { name: 'Rename script.md' }).click();
    await panel.getByRole('textbox', { name: 'Name', exact: true }).fill('Scénario.md');
    await panel.getByLabel('Description').fill('All of it.');
    await panel.getByRole('button', { name: 'Save' }).click();
    await row('Scénario.md').waitFor();
    await panel.getByLabel('File').setInputFiles({ name: 'page.txt', mimeType: 'text/plain', buffer: Buffer.from('<html><body>x</body></html>') });
    await panel.getByRole('button', { name: 'Add document' }).click();
    await until('the page is not refused', async () => (await row('page.txt').getAttribute('data-document-state')) === 'failed');
    await row('page.txt').getByRole('button', { name: /Remove/ }).click();
    await panel.getByRole('button', { name: 'Yes, remove' }).click();
    await until('it is still there', async () => (await row('page.txt').count()) === 0);
    await page.getByRole('link', { name: 'Watch page' }).click();
    const beside = page.locator('section[data-documents="2"]');
    await beside.waitFor();
    const file = beside.locator('[data-document="Scénario.md"]');
    const answer = await page.request.get(new URL((await file.getAttribute('href')) ?? '', page.url()).href);
    expect((await answer.text()) === '# The script', 'it is another document');
    expect((answer.headers()['content-disposition'] ?? '').startsWith('attachment'), 'it is shown instead of kept');
    await expectNeat(page);
    await page.goBack();
    await page.locator('[data-player]').waitFor();
  }

  /** Until tomorrow nobody plays it. */
  async schedule() {
    const { page } = this;
    const panel = this.panel('Schedule');
    const tomorrow = new Date(Date.now() + 36 * 3600 * 1000).toISOString().slice(0, 16);
    await panel.getByLabel('Publish at').fill(tomorrow);
    await panel.getByRole('button', { name: 'Save' }).click();
    await until('the schedule is not shown', async () => ((await page.locator('[data-window]').textContent()) ?? '').includes('Shown from'));
    await page.locator('[data-not-played]').waitFor();
    await panel.getByRole('button', { name: 'Remove the schedule' }).click();
    await page.locator('[data-player]').waitFor();
    expect((await this.told()).publish_at === null, 'the schedule is still there');
  }

  /** Shared with somebody, who sees it; and with nobody. @param {string} user */
  async shares(user) {
    const panel = this.panel('Shared with');
    await panel.getByLabel('Account').fill('usr_nonsense');
    await panel.getByRole('button', { name: 'Share' }).click();
    await panel.locator('[data-problem]').waitFor();
    await panel.getByLabel('Account').fill(user);
    await panel.getByRole('button', { name: 'Share' }).click();
    const row = panel.locator(`[data-share="${user}"]`);
    await row.waitFor();
    await row.getByRole('combobox').selectOption('editor');
    const standing = async () => (await ask(this.page, 'GET', `/api/v1/assets/${this.asset}/shares`)).body.data[0]?.standing;
    await until('the share is not changed', async () => (await standing()) === 'editor');
    await row.getByRole('button', { name: /^Remove/ }).click();
    await row.getByRole('button', { name: 'Yes, remove' }).click();
    await until('the share is not gone', async () => (await row.count()) === 0);
  }

  /** A channel with the video in it, which somebody follows. */
  async channel() {
    const { page } = this;
    await show(page, this.base, '/channels');
    await page.getByLabel('Handle').fill('x');
    await page.getByLabel('Handle').fill('una.films');
    await page.getByLabel('Name').fill('Films of Una');
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByRole('heading', { level: 1, name: 'Films of Una' }).waitFor();
    const path = new URL(page.url()).pathname;
    await this.open();
    await this.panel('Visibility').getByLabel('Channel').selectOption({ label: 'Films of Una (@una.films)' });
    await this.panel('Visibility').getByRole('button', { name: 'Save' }).click();
    await until('it is not in the channel', async () => ((await this.panel('Visibility').getAttribute('data-channel')) ?? '') !== '');
    await this.as(ROOT);
    await show(page, this.base, '/channels');
    await page.getByRole('button', { name: 'Subscribe to Films of Una' }).click();
    await page.getByRole('region', { name: 'New in your subscriptions' }).locator(`[data-card="${this.asset}"]`).waitFor();
    await page.getByRole('link', { name: 'Films of Una' }).first().click();
    await page.getByText('1 subscriber').waitFor();
    await page.locator(`[data-card="${this.asset}"]`).waitFor();
    await page.getByRole('button', { name: 'Unsubscribe from Films of Una' }).click();
    await page.getByText('0 subscribers').waitFor();
    await this.as(UNA);
    return path;
  }

  /** A playlist of both videos, put in order by keys and by dragging. */
  async collection() {
    const { page } = this;
    for (let number = 1; number <= LISTS; number += 1) {
      const { status } = await ask(page, 'POST', '/api/v1/collections', { body: { kind: 'season', title: `Season ${number}` } });
      expect(status === 201, `a season is not made: ${status}`);
    }
    await show(page, this.base, '/collections');
    const lists = page.locator('li[data-collection]');
    await page.getByRole('button', { name: 'Show more' }).click();
    await until('the second page does not come', async () => (await lists.count()) === LISTS);
    expect(new Set(await lists.evaluateAll((all) => all.map((one) => one.getAttribute('data-collection')))).size === LISTS, 'something is listed twice');
    await page.locator('select[name="filter-kind"]').selectOption('playlist');
    await page.locator('[data-empty]').waitFor();
    await page.getByLabel('Title').fill('Evening');
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByRole('heading', { level: 1, name: 'Evening' }).waitFor();
    const words = ['Château noir', basename(otherFile ?? '').replace(/\.\w+$/, '')];
    const items = page.locator('[data-item]');
    for (const [at, each] of words.entries()) {
      const found = page.getByRole('list', { name: 'Found' });
      await page.getByLabel('Find a video to add').fill(each);
      await found.getByRole('listitem').filter({ hasText: each }).getByRole('button', { name: 'Add' }).first().click();
      await until(`${each} is not added`, async () => (await items.count()) === at + 1);
    }
    const order = async () => items.evaluateAll((all) => all.map((item) => item.getAttribute('data-item')));
    const [first, second] = await order();
    await page.locator(`[data-handle="${second}"]`).focus();
    await page.keyboard.press('ArrowUp');
    await until('the keys move nothing', async () => (await order())[0] === second);
    expect(((await page.locator('[data-said]').textContent()) ?? '').includes('1 of 2'), 'the move is not said');
    expect((await page.evaluate(() => document.activeElement?.getAttribute('data-handle'))) === second, 'the focus is lost on the way');
    await page.locator(`[data-handle="${first}"]`).dragTo(page.locator(`[data-item="${second}"]`));
    await until('dragging moves nothing', async () => (await order())[0] === first);
    await page.reload();
    await until('the order is not kept', async () => (await order())[0] === first);
    // Fingers drag no lines: they have buttons.
    const line = await page.context().newCDPSession(page);
    await line.send('Emulation.setTouchEmulationEnabled', { enabled: true });
    await items.first().getByRole('button', { name: /^Move .* down$/ }).click();
    await until('the button moves nothing', async () => (await order())[1] === first);
    await items.last().getByRole('button', { name: /^Move .* up$/ }).click();
    await until('the button moves nothing back', async () => (await order())[0] === first);
    await line.send('Emulation.setTouchEmulationEnabled', { enabled: false });
    await this.picture('collection');
    await items.first().getByRole('button', { name: /^Remove/ }).click();
    await until('nothing is removed', async () => (await items.count()) === 1);
  }

  /** Found by what is said, and played from there. */
  async search() {
    const { page } = this;
    await show(page, this.base, '/search');
    await page.getByLabel('Search').fill('chevalier');
    const hit = page.locator(`[data-hit="${this.asset}"]`);
    await until('what is said is not found', async () => {
      if ((await hit.locator('[data-moment]').count()) > 0) return true;
      // What was just published may be indexed a moment later: a reader looks again.
      await page.reload();
      await page.locator('[data-told]').waitFor();
      return false;
    });
    const facet = page.locator('[data-facet="tag:noir"]');
    await facet.click();
    await until('the facet does not narrow', async () => page.url().includes('tag=noir') && (await facet.getAttribute('aria-pressed')) === 'true');
    await this.picture('search');
    const moment = hit.locator('[data-moment]').first();
    const seconds = Number(await moment.getAttribute('data-moment'));
    expect(Math.abs(seconds - 6.5) < 0.1, `the phrase is said at 6.5 s, not ${seconds}`);
    await moment.getByRole('link').click();
    await page.locator('[data-player]').waitFor();
    await until('the player does not begin there', () =>
      page.locator('video').evaluate((element, at) => {
        const video = /** @type {HTMLVideoElement} */ (element);
        return video.readyState >= 2 && Math.abs(video.currentTime - at) < 1.5;
      }, seconds),
    );
    // The player speaks the language of the pages, too.
    await page.getByLabel('Language of these pages').selectOption('fr');
    await page.reload();
    await page.locator('media-play-button[aria-label="lire"]').waitFor();
    await page.getByLabel('Langue de ces pages').selectOption('en');
  }

  /** Made private: its owner plays it by a ticket, and nobody without an account does. */
  async access() {
    const { page } = this;
    await this.open();
    const panel = this.panel('Who may play it');
    await until('it is not told who may play', async () => (await panel.getAttribute('data-policy')) === 'public');
    await panel.locator('select[name="policy"]').selectOption('private');
    await panel.getByRole('button', { name: 'Save' }).click();
    await until('it does not become private', async () => (await panel.getAttribute('data-policy')) === 'private');
    const { hls, watch } = (await this.told()).playback;
    const plain = async () => (await fetch(`${this.base}${hls}`)).status;
    await until('it is open to everybody', async () => (await plain()) === 403);
    await show(page, this.base, watch);
    await page.locator('[data-player]').waitFor();
    await until('its owner does not play it', () =>
      page.locator('video').evaluate((element) => /** @type {HTMLVideoElement} */ (element).readyState >= 2),
    );
    await this.open();
    await panel.locator('select[name="policy"]').selectOption('public');
    await panel.getByRole('button', { name: 'Save' }).click();
    await until('it does not become public', async () => (await plain()) === 200);
  }

  /** Into the bin and out of it; then for good. */
  async bin() {
    const { page } = this;
    await show(page, this.base, '/library');
    const row = page.locator(`li[data-asset="${this.asset}"]`);
    await row.getByRole('button', { name: 'Delete: Château noir' }).click();
    await row.getByRole('button', { name: 'Yes, delete' }).click();
    await until('it does not leave the library', async () => (await row.count()) === 0);
    await page.getByRole('link', { name: 'Bin' }).click();
    const binned = page.locator(`[data-binned="${this.asset}"]`);
    await binned.getByRole('button', { name: 'Restore Château noir' }).click();
    await until('it does not leave the bin', async () => (await binned.count()) === 0);
    await page.getByRole('link', { name: 'All videos' }).click();
    await row.waitFor();
    expect((await row.getAttribute('data-stage')) === 'published', 'it came back as something else');
  }
}

try {
  await run(baseUrl, async (page) => {
    await setUp(page, setupLink);
    const made = await ask(page, 'POST', '/api/v1/users', { body: { ...UNA, name: 'Una', role: 'uploader' } });
    expect(made.status === 201, `Una's account: ${made.status}`);
    const root = (await ask(page, 'GET', '/api/v1/me')).body.id;
    const studio = new Studio(page, baseUrl);
    await studio.as(UNA);
    await studio.upload([file, otherFile]);
    await studio.filters();
    await studio.describe();
    await studio.review();
    await studio.chapters();
    await studio.poster();
    await studio.subtitles();
    await studio.documents();
    await studio.schedule();
    await studio.shares(root);
    await studio.access();
    const channel = await studio.channel();
    await studio.collection();
    await studio.search();
    await studio.bin();
    return { asset: studio.asset, channel };
  });
} finally {
  rmSync(folder, { recursive: true, force: true });
}
