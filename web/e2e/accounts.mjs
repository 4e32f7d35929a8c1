/**
 * Sets up the first account, logs out and in, uploads, and watches as nobody that is known.
 *
 * Usage: node accounts.mjs BASE_URL SETUP_LINK FILE [SCREENSHOT.png]
 *
 * Prints one line of JSON with the watch path; exits 1 with a reason.
 */

import { basename } from 'node:path';
import process from 'node:process';

import { expect, run, until } from './browser.mjs';

const PLAYABLE_DEADLINE_MS = 180_000;
const EMAIL = 'root@example.org';
const PASSWORD = 'correct horse battery';

const [baseUrl, setupLink, file, screenshot] = process.argv.slice(2);
if (!baseUrl || !setupLink || !file) {
  process.stderr.write('usage: node accounts.mjs BASE_URL SETUP_LINK FILE [SCREENSHOT.png]\n');
  process.exit(2);
}

await run(baseUrl, async (page) => {
  const name = basename(file);
  await page.goto(baseUrl);
  await page.waitForURL(/\/login$/);
  expect((await page.locator('input[type="file"]').count()) === 0, 'nobody uploads without an account');

  await page.goto(setupLink);
  await page.locator('[data-door="setup"]').waitFor();
  expect(!page.url().includes('token'), 'the secret stays in the address bar');
  await page.getByLabel('Name').fill('Root');
  await page.getByLabel('Mail address').fill(EMAIL);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Set up this server' }).click();
  await page.locator('[data-me]').waitFor();
  const cookies = await page.context().cookies();
  expect(cookies.length === 1 && cookies[0]?.httpOnly && cookies[0].sameSite === 'Lax', `cookies: ${JSON.stringify(cookies)}`);

  await page.getByRole('button', { name: 'Log out' }).click();
  await page.waitForURL(/\/login$/);
  await page.getByLabel('Mail address').fill(EMAIL);
  await page.getByLabel('Password').fill('a wrong password');
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.locator('[role="alert"]').waitFor();
  if (screenshot) await page.screenshot({ path: screenshot, fullPage: true });
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.locator('[data-me]').waitFor();

  await page.locator('input[type="file"]').setInputFiles(file);
  const watch = page.locator(`[data-upload="${name}"] [data-watch]`);
  await until('no watch link appears', async () => (await watch.count()) > 0, PLAYABLE_DEADLINE_MS);
  const path = await watch.getAttribute('data-watch');

  await page.getByRole('button', { name: 'Log out' }).click();
  await page.waitForURL(/\/login$/);
  await page.goto(new URL(path ?? '', baseUrl).href);
  await until(
    'the video does not play for a visitor',
    async () => page.evaluate(() => (document.querySelector('video')?.readyState ?? 0) >= 2),
    PLAYABLE_DEADLINE_MS,
  );
  return { watch: path };
});
