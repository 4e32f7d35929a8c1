/** What both browser tests share: a Chromium of its own, and a report of all that went wrong on the page. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';

import { chromium } from 'playwright-core';

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
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
    const report = await body(page);
    if (faults.length > 0) throw new Error(faults.join('; '));
    process.stdout.write(`${JSON.stringify({ ok: true, ...report })}\n`);
  } catch (error) {
    // The driver appends pages of call log after the first line.
    const reason = (error instanceof Error ? error.message : String(error)).split('\nCall log')[0] ?? '';
    process.stdout.write(`${JSON.stringify({ ok: false, reason, faults })}\n`);
    process.stderr.write(`browser test failed: ${reason}\n`);
    process.exitCode = 1;
  } finally {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  }
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
 * @param {string} reason
 * @param {() => Promise<boolean>} ask
 */
export async function until(reason, ask, deadlineMs = 30_000) {
  const end = Date.now() + deadlineMs;
  while (!(await ask())) {
    if (Date.now() > end) throw new Error(`${reason} (waited ${deadlineMs / 1000} s)`);
    await new Promise((done) => setTimeout(done, 100));
  }
}
