/**
 * The frame of the pages and what somebody does about their own account, from the first login to the last.
 *
 * Usage: node account.mjs BASE_URL SETUP_LINK [PICTURES_FOLDER]
 *
 * Prints one line of JSON; exits 1 with a reason.
 */

import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';

import { ROOT, ask, become, expect, expectNeat, run, setUp, show, until } from './browser.mjs';

const NARROW = { width: 360, height: 780 };
const WIDE = { width: 1280, height: 900 };
const PAGES = ['/', '/library', '/bin', '/search', '/collections', '/channels', '/reviews', '/notifications', '/webhooks', '/admin/users', '/admin/audit', '/account'];
const NEXT_PASSWORD = 'another horse battery';
const EVA = { email: 'eva@example.org', password: 'a password of her own' };

const [baseUrl, setupLink, pictures] = process.argv.slice(2);
if (!baseUrl || !setupLink) {
  process.stderr.write('usage: node account.mjs BASE_URL SETUP_LINK [PICTURES_FOLDER]\n');
  process.exit(2);
}

/** The code of a second factor (RFC 6238) at a time, in steps of 30 s from now. @param {string} secret @param {number} step */
function codeOf(secret, step) {
  const bits = [...secret].map((letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((octet) => Number.parseInt(octet, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + step));
  const mac = createHmac('sha1', key).update(counter).digest();
  const at = (mac.at(-1) ?? 0) & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

await run(baseUrl, async (page) => {
  /** @param {string} name */
  const picture = async (name) => {
    if (pictures) await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
  };
  await setUp(page, setupLink);

  // By the keyboard: the first stop leads past the frame.
  await show(page, baseUrl, '/account');
  await page.keyboard.press('Tab');
  expect(await page.evaluate(() => document.activeElement?.classList.contains('skip')), 'the first stop is not the way past the frame');
  await page.keyboard.press('Enter');
  expect(await page.evaluate(() => document.activeElement?.id === 'main'), 'the way past the frame leads elsewhere');
  const about = page.getByRole('textbox', { name: 'About you' });
  await about.fill('Not saved yet.');
  await page.locator('.skip').press('Enter');
  expect((await about.inputValue()) === 'Not saved yet.', 'what was written is lost on the way');

  // From page to page nothing is loaded anew, and the keyboard begins at the page.
  await page.evaluate(() => (/** @type {any} */ (window).isSame = true));
  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Library' }).click();
  await page.getByRole('heading', { level: 1, name: 'Library' }).waitFor();
  expect(await page.evaluate(() => /** @type {any} */ (window).isSame && document.activeElement?.id === 'main'), 'the page was loaded anew, or the focus is lost');
  await until('the new page is not said', async () => ((await page.locator('.hidden-text[role="status"]').allTextContents()).join(' ').includes('Library')));
  await page.goBack();
  await page.locator('[data-second-factor]').waitFor();

  // Languages: of the browser, chosen here, of the account.
  const html = page.locator('html');
  expect((await html.getAttribute('lang')) === 'en', 'the browser speaks English');
  await page.getByLabel('Language of these pages').selectOption('fr');
  await page.getByRole('button', { name: 'Se déconnecter' }).waitFor();
  expect((await html.getAttribute('lang')) === 'fr', 'the page says another language than it speaks');
  await page.reload();
  await page.getByRole('heading', { name: 'Mot de passe' }).waitFor();
  await page.getByLabel('Nom', { exact: true }).fill('Racine');
  await page.getByLabel('À propos de vous').fill('Tient la maison.');
  await page.locator('select[name="account-language"]').selectOption('en');
  await page.locator('section', { has: page.locator('#profile') }).getByRole('button', { name: 'Enregistrer' }).click();
  await page.getByRole('button', { name: 'Log out' }).waitFor();
  await until('the name is not shown in the frame', async () => (await page.locator('[data-me]').textContent())?.trim() === 'Racine');
  const { body: me } = await ask(page, 'GET', '/api/v1/me');
  expect(me.bio === 'Tient la maison.' && me.language === 'en', `the profile is ${JSON.stringify(me)}`);

  // Changed elsewhere meanwhile: it is said, what was typed stays, and the next attempt is good.
  const { tag } = await ask(page, 'GET', '/api/v1/me');
  await ask(page, 'PATCH', '/api/v1/me', { body: { name: 'Elsewhere' }, headers: { 'if-match': tag } });
  const profile = page.locator('section', { has: page.locator('#profile') });
  await about.fill('Keeps the house.');
  await profile.getByRole('button', { name: 'Save' }).click();
  await profile.locator('[data-problem]').getByText('then save again').waitFor();
  await profile.getByRole('button', { name: 'Save' }).click();
  await until('the next attempt is refused', async () => (await ask(page, 'GET', '/api/v1/me')).body.bio === 'Keeps the house.');

  // A picture of oneself: what is none is refused, one that is stays when the page is loaded anew, and the profile can
  // still be saved.
  const avatar = page.locator('[data-avatar]');
  await avatar.getByLabel('Picture of you').setInputFiles({ name: 'x.png', mimeType: 'image/png', buffer: Buffer.from('no picture') });
  await profile.locator('[data-problem]').waitFor();
  const png = await page.screenshot();
  await avatar.getByLabel('Picture of you').setInputFiles({ name: 'me.png', mimeType: 'image/png', buffer: png });
  await avatar.getByRole('img', { name: 'Your picture' }).waitFor();
  await profile.getByRole('button', { name: 'Save' }).click();
  await until('the profile is not saved beside the picture', async () => (await page.locator('[data-done="profile"]').textContent()) === 'Saved.');
  await page.reload();
  const image = avatar.getByRole('img', { name: 'Your picture' });
  await until('the picture is not shown', () => image.evaluate((element) => /** @type {HTMLImageElement} */ (element).naturalWidth === 512));

  // The second factor.
  const factor = page.locator('[data-second-factor]');
  await factor.getByLabel('Your password').fill('not the password');
  await factor.getByRole('button', { name: 'Set it up' }).click();
  const refused = factor.locator('[data-problem]');
  await refused.waitFor();
  expect((await refused.locator('code').last().textContent())?.length, 'the refusal does not tell its request');
  await factor.getByLabel('Your password').fill(ROOT.password);
  await factor.getByRole('button', { name: 'Set it up' }).click();
  const square = factor.locator('svg[role="img"]');
  await square.waitFor();
  const drawn = await square.locator('path').getAttribute('d');
  expect((drawn?.length ?? 0) > 1000, 'the picture is empty');
  await picture('second-factor');
  const secret = (await factor.locator('[data-copy="Secret of the second factor"]').textContent()) ?? '';
  await factor.getByLabel('Code').fill(codeOf(secret, 0));
  await factor.getByRole('button', { name: 'Confirm' }).click();
  const codes = ((await factor.locator('[data-copy="Recovery codes"]').textContent()) ?? '').split(' ');
  expect(codes.length === 10, `recovery codes: ${codes.length}`);
  await until('the second factor is not on', async () => (await factor.getAttribute('data-second-factor')) === 'on');
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.waitForURL(/\/login$/);
  await page.getByLabel('Language of these pages').selectOption('fr');
  await page.getByRole('heading', { name: 'Se connecter' }).waitFor();
  await page.getByLabel('Langue de ces pages').selectOption('en');
  await page.getByLabel('Mail address').fill(ROOT.email);
  await page.getByLabel('Password').fill(ROOT.password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByLabel('Code').fill(codes[3] ?? '');
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.locator('[data-me]').waitFor();
  await show(page, baseUrl, '/account');
  expect((await page.locator('[data-copy="Recovery codes"]').count()) === 0, 'the recovery codes are shown again');
  await factor.getByLabel('Your password').fill(ROOT.password);
  await factor.getByRole('button', { name: 'Turn it off' }).click();
  await until('the second factor is not off', async () => (await factor.getAttribute('data-second-factor')) === 'off');

  // Sessions: one of a program is ended here.
  const login = { body: { email: ROOT.email, password: ROOT.password } };
  const { body: tokens } = await ask(page, 'POST', '/api/v1/auth/login', { ...login, token: '' });
  await page.reload();
  const other = page.locator('[data-session="other"]');
  await other.first().waitFor();
  while ((await other.count()) > 0) {
    const before = await other.count();
    await other.first().getByRole('button', { name: 'End' }).click();
    await until('a session does not end', async () => (await other.count()) < before);
  }
  const after = await ask(page, 'GET', '/api/v1/me', { token: tokens.access_token });
  expect(after.status === 401, `the session that was ended is good for ${after.status}`);

  // API keys: told once, good for what they are for, gone when they are revoked.
  await page.getByLabel('Name of a new key').fill('ci');
  await page.getByLabel('Days until it ends').fill('30');
  await page.getByRole('checkbox', { name: /account:read/ }).check();
  await page.getByRole('button', { name: 'Make a key' }).click();
  const key = (await page.locator('[data-key]').getAttribute('data-key')) ?? '';
  expect((await ask(page, 'GET', '/api/v1/me', { token: key })).status === 200, 'the key is good for nothing');
  await page.reload();
  const line = page.locator('[data-key-name="ci"]');
  await line.waitFor();
  expect(!((await page.locator('main').textContent()) ?? '').includes(key), 'the key is told again');
  await line.getByRole('button', { name: 'Revoke: ci' }).click();
  await line.getByRole('button', { name: 'Yes, revoke' }).click();
  await until('the key is not gone', async () => (await line.count()) === 0);
  expect((await ask(page, 'GET', '/api/v1/me', { token: key })).status === 401, 'the key is still good');

  // What one is told.
  await page.getByLabel('A video of yours is ready').selectOption('email');
  await until('the choice is not saved', async () => (await page.locator('[data-done="preferences"]').textContent()) === 'Saved.');
  await page.reload();
  await until('the choice is not kept', async () => (await page.getByLabel('A video of yours is ready').inputValue()) === 'email');

  // The password; and the bell rings for it by itself.
  await ask(page, 'POST', '/api/v1/me/notifications/read', { body: {} });
  await until('the bell does not rest', async () => (await page.locator('[data-unread]').getAttribute('data-unread')) === '0');
  const password = page.locator('section', { has: page.locator('#password') });
  await password.getByLabel('Present password').fill('not the password');
  await password.getByLabel('New password').fill(NEXT_PASSWORD);
  await password.getByRole('button', { name: 'Change it' }).click();
  await password.locator('[data-problem]').waitFor();
  await password.getByLabel('Present password').fill(ROOT.password);
  await password.getByRole('button', { name: 'Change it' }).click();
  await until('the password is not changed', async () => ((await page.locator('[data-done="password"]').textContent()) ?? '') !== '');
  await until('the bell does not ring', async () => Number(await page.locator('[data-unread]').getAttribute('data-unread')) > 0);
  await page.locator('[data-unread]').click();
  const news = page.locator('[data-news="account_security"][data-read="false"]');
  await news.first().waitFor();
  await picture('notifications');
  await page.getByRole('button', { name: 'Mark all as read' }).click();
  await until('something stays unread', async () => (await page.locator('[data-read="false"]').count()) === 0 && (await page.locator('[data-unread]').getAttribute('data-unread')) === '0');

  // One's data as a file.
  await show(page, baseUrl, '/account');
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Export my data' }).click()]);
  const exported = JSON.parse(readFileSync(await download.path(), 'utf8'));
  expect(exported.account.email === ROOT.email && exported.audit_log.length > 0, 'the export lacks the account');

  // All pages, narrow and wide, in the longer words of French and in English, light and dark.
  for (const [size, scheme, language] of /** @type {const} */ ([[NARROW, 'light', 'fr'], [WIDE, 'dark', 'en']])) {
    await page.setViewportSize(size);
    await page.emulateMedia({ colorScheme: scheme });
    await page.locator('select[name="language"]').selectOption(language);
    await until('the pages keep their language', async () => (await html.getAttribute('lang')) === language);
    for (const path of PAGES) {
      await show(page, baseUrl, path);
      await expectNeat(page);
      await picture(`${size.width}${path.replaceAll('/', '-')}`);
    }
  }
  await page.setViewportSize(NARROW);
  await show(page, baseUrl, '/library');
  const menu = page.getByRole('button', { name: 'Menu' });
  expect((await menu.getAttribute('aria-expanded')) === 'false', 'the menu is open from the start');
  await menu.click();
  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Search' }).click();
  await page.getByRole('heading', { level: 1, name: 'Search' }).waitFor();
  await page.setViewportSize(WIDE);

  // The picture is taken back.
  await show(page, baseUrl, '/account');
  await avatar.getByRole('button', { name: 'Remove the picture' }).click();
  await avatar.getByRole('button', { name: 'Yes, remove the picture' }).click();
  await until('the picture is not removed', async () => (await avatar.getAttribute('data-avatar')) === '');
  expect((await ask(page, 'GET', '/api/v1/me')).body.avatar === null, 'the picture is still there');

  // The last administrator stays, and is told why; another account goes, and is let in no more.
  await show(page, baseUrl, '/account');
  await page.getByRole('button', { name: 'Delete my account' }).click();
  await page.getByRole('button', { name: 'Yes, delete my account for good' }).click();
  await page.locator('section', { has: page.locator('#data') }).locator('[data-problem]').waitFor();
  const made = await ask(page, 'POST', '/api/v1/users', { body: { ...EVA, name: 'Eva', role: 'user' } });
  expect(made.status === 201, `Eva's account: ${made.status}`);
  await become(page, EVA);
  await show(page, baseUrl, '/account');
  expect((await page.getByRole('link', { name: 'Users' }).count()) === 0, 'everybody is offered what administrators may');
  await page.getByRole('button', { name: 'Delete my account' }).click();
  await page.getByRole('button', { name: 'Yes, delete my account for good' }).click();
  await page.waitForURL(/\/login$/);
  const again = await ask(page, 'POST', '/api/v1/auth/login', { body: { ...EVA, cookie: true } });
  expect(again.status === 401, `an erased account is let in: ${again.status}`);
  return { codes: codes.length, pages: PAGES.length };
});
