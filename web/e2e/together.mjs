/**
 * Uploads several files at the same time through the upload page, whatever the line does to them.
 *
 * Usage: node together.mjs BASE_URL FILE...
 *
 * Prints one line of JSON with how many were on their way at once; exits 1 with a reason.
 */

import { basename } from 'node:path';
import process from 'node:process';

import { run, until } from './browser.mjs';

const [baseUrl, ...files] = process.argv.slice(2);
if (!baseUrl || files.length < 2) {
  process.stderr.write('usage: node together.mjs BASE_URL FILE...\n');
  process.exit(2);
}

await run(baseUrl, async (page) => {
  await page.goto(baseUrl);
  await page.locator('input[type="file"]').setInputFiles(files);
  const rows = files.map((file) => page.locator(`[data-upload="${basename(file)}"]`));
  let together = 0;
  await until(
    'the files do not all arrive',
    async () => {
      const phases = await Promise.all(rows.map((row) => row.getAttribute('data-phase')));
      together = Math.max(together, phases.filter((phase) => phase === 'uploading').length);
      return phases.every((phase) => phase === 'uploaded');
    },
    60_000,
  );
  return { together };
});
