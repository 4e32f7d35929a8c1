/** What all browser tests share: a Chromium of its own, and a report of all that went wrong on the page. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';

import { chromium } from 'playwright-core';

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const ARGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--autoplay-policy=no-user-gesture-required',
];

/** No story takes longer, also where a page never answers: what it says then is better than what kills it. */
const STORY_DEADLINE_MS = 300_000;

/**
 * Runs `body` with a page of a fresh browser, prints what it returns as JSON, and ends the process: with 0, or with 1
 * and a reason. Script errors and requests to any other origin are failures whatever `body` says.
 *
 * @param {string} baseUrl
 * @param {(page: import('playwright-core').Page) => Promise<object>} body
 * @param {(url: string) => boolean} isWanted which requests to other origins are none of these failures
 */
export async function run(baseUrl, body, isWanted = () => false) {
  const profile = mkdtempSync(join(tmpdir(), 'headwater-browser-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: EXECUTABLE,
    headless: true,
    args: ARGS,
    viewport: { width: 1280, height: 900 },
  });
  /** @type {string[]} */
  const faults = [];
  const origin = new URL(baseUrl).origin;
  try {
    const page = context.pages()[0] ?? (await context.newPage());
    page.setDefaultTimeout(30_000);
    page.on('pageerror', (error) => faults.push(`script error: ${error.message}`));
    page.on('console', (message) => {
      if (message.type() === 'error' && /Content Security Policy/.test(message.text())) faults.push(message.text());
    });
    page.on('request', (request) => {
      const url = request.url();
      if (/^https?:/.test(url) && new URL(url).origin !== origin && !isWanted(url)) faults.push(`request to another origin: ${url}`);
    });
    const report = await Promise.race([body(page), expired()]);
    if (faults.length > 0) throw new Error(faults.join('; '));
    process.stdout.write(`${JSON.stringify({ ok: true, ...report })}\n`);
  } catch (error) {
    // The driver appends pages of call log after the first line.
    const words = (error instanceof Error ? error.message : String(error)).split('\nCall log')[0] ?? '';
    const where = error instanceof Error ? /e2e\/(?!browser)[\w.]+:\d+/.exec(error.stack ?? '')?.[0] : null;
    const reason = where ? `${words} (${where})` : words;
    process.stdout.write(`${JSON.stringify({ ok: false, reason, faults })}\n`);
    process.stderr.write(`browser test failed: ${reason}\n`);
    process.exitCode = 1;
  } finally {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

/** @returns {Promise<never>} */
function expired() {
  return new Promise((_, reject) => {
    const words = `the story does not end within ${STORY_DEADLINE_MS / 1000} s`;
    setTimeout(() => reject(new Error(words)), STORY_DEADLINE_MS).unref();
  });
}

/**
 * @param {unknown} condition
 * @param {string} reason
 * @returns {asserts condition}
 */
export function expect(condition, reason) {
  if (!condition) throw new Error(reason);
}

/**
 * Asks until the answer is true; fails with `reason` after the deadline.
 *
 * @param {string | (() => string)} reason
 * @param {() => Promise<boolean>} ask
 */
export async function until(reason, ask, deadlineMs = 30_000) {
  const end = Date.now() + deadlineMs;
  while (!(await ask())) {
    if (Date.now() > end) {
      throw new Error(`${typeof reason === 'string' ? reason : reason()} (waited ${deadlineMs / 1000} s)`);
    }
    await new Promise((done) => setTimeout(done, 100));
  }
}

/** The account that a story begins with. */
export const ROOT = { name: 'Root', email: 'root@example.org', password: 'correct horse battery' };

/**
 * Sets up the first account by its link, through the page.
 *
 * @param {import('playwright-core').Page} page
 * @param {string} link
 */
export async function setUp(page, link) {
  await page.goto(link);
  await page.locator('[data-door="setup"]').waitFor();
  await page.getByLabel('Name').fill(ROOT.name);
  await page.getByLabel('Mail address').fill(ROOT.email);
  await page.getByLabel('Password').fill(ROOT.password);
  await page.getByRole('button', { name: 'Set up this server' }).click();
  await page.locator('[data-me]').waitFor();
}

/**
 * Asks the server as whoever is logged in on the page, or by `token`; answers with the status and the document.
 *
 * @param {import('playwright-core').Page} page
 * @param {string} method
 * @param {string} path
 * @param {{ body?: unknown, headers?: Record<string, string>, token?: string }} more
 * @returns {Promise<{ status: number, tag: string, body: any }>}
 */
export function ask(page, method, path, more = {}) {
  return page.evaluate(
    async ({ method, path, more }) => {
      const headers = { ...(more.body === undefined ? {} : { 'content-type': 'application/json' }), ...more.headers };
      const answer = await fetch(path, {
        method,
        headers: more.token === undefined ? headers : { ...headers, authorization: `Bearer ${more.token}` },
        credentials: more.token === undefined ? 'same-origin' : 'omit',
        ...(more.body === undefined ? {} : { body: JSON.stringify(more.body) }),
      });
      const text = await answer.text();
      return { status: answer.status, tag: answer.headers.get('etag') ?? '', body: text === '' ? null : JSON.parse(text) };
    },
    { method, path, more },
  );
}

/**
 * Becomes somebody else on this page, past the login form.
 *
 * @param {import('playwright-core').Page} page
 * @param {{ email: string, password: string }} who
 */
export async function become(page, { email, password }) {
  const { status } = await ask(page, 'POST', '/api/v1/auth/login', { body: { email, password, cookie: true } });
  expect(status === 200, `${email} is not let in: ${status}`);
}

/**
 * Shows a page and waits until its heading is there.
 *
 * @param {import('playwright-core').Page} page
 * @param {string} baseUrl
 * @param {string} path
 */
export async function show(page, baseUrl, path) {
  await page.goto(new URL(path, baseUrl).href);
  await page.locator('main h1').first().waitFor();
}

/**
 * Fails where a page is wider than the screen or keeps somebody out: things without a name, too little contrast, and
 * what else axe-core finds. The player's own controls are left to those who make them.
 *
 * @param {import('playwright-core').Page} page
 */
export async function expectNeat(page) {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    const { violations } = await /** @type {any} */ (window).axe.run(
      { exclude: ['media-controller'] },
      { resultTypes: ['violations'] },
    );
    const told = violations.flatMap((/** @type {any} */ rule) =>
      rule.nodes.map((/** @type {any} */ node) => `${rule.id}: ${node.html.slice(0, 160)}`),
    );
    return { wide, told: told.slice(0, 5), headings: document.querySelectorAll('h1').length };
  });
  const where = new URL(page.url()).pathname;
  expect(found.wide <= 0, `${where} is ${found.wide} px wider than the screen`);
  expect(found.told.length === 0, `${where} keeps people out: ${found.told.join(' ')}`);
  expect(found.headings === 1, `${where} has ${found.headings} main headings`);
}
