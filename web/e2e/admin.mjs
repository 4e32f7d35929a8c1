/**
 * What administrators do: accounts, the audit log, webhooks.
 *
 * Usage: node admin.mjs BASE_URL SETUP_LINK HOOK_URL [PICTURES_FOLDER]
 *
 * HOOK_URL takes messages, and refuses those below `/broken`. Prints one line of JSON; exits 1 with a reason.
 */

import { join } from 'node:path';
import process from 'node:process';

import { ask, expect, expectNeat, run, setUp, show, until } from './browser.mjs';

const IDA = { name: 'Ida', email: 'ida@example.org', password: 'ida has a long password' };
const GIB = 1024 ** 3;

const [baseUrl, setupLink, hookUrl, pictures] = process.argv.slice(2);
if (!baseUrl || !setupLink || !hookUrl) {
  process.stderr.write('usage: node admin.mjs BASE_URL SETUP_LINK HOOK_URL [PICTURES_FOLDER]\n');
  process.exit(2);
}

/** @param {import('playwright-core').Page} page */
async function users(page) {
  await show(page, baseUrl ?? '', '/admin/users');
  await page.getByText('New account').click();
  await page.getByLabel('Mail address', { exact: true }).fill(IDA.email);
  await page.getByLabel('Name', { exact: true }).fill(IDA.name);
  await page.locator('select[name="new-role"]').selectOption('user');
  await page.locator('input[name="new-password"]').fill(IDA.password);
  await page.getByRole('button', { name: 'Make the account' }).click();
  const row = page.locator(`[data-person="${IDA.email}"]`);
  await row.waitFor();
  await page.getByRole('button', { name: 'Make the account' }).waitFor();

  await page.getByLabel('Search by name, mail address or id').fill('IDA');
  await until('the search finds others too', async () => (await page.locator('[data-person]').count()) === 1 && (await row.count()) === 1);
  await row.getByLabel('Role').selectOption('uploader');
  await until('the role is not changed', async () => (await row.getAttribute('data-role')) === 'uploader');
  await row.getByLabel('Quota').fill('2.5');
  await row.getByLabel('Quota').press('Enter');
  const { body: listed } = await ask(page, 'GET', '/api/v1/users');
  const id = listed.data.find((/** @type {any} */ person) => person.email === IDA.email).id;
  const told = async () => (await ask(page, 'GET', `/api/v1/users/${id}`)).body;
  await until('the quota is not changed', async () => (await told()).quota_bytes === 2.5 * GIB);

  const login = async () => (await ask(page, 'POST', '/api/v1/auth/login', { body: { email: IDA.email, password: IDA.password }, token: '' })).status;
  await row.getByRole('button', { name: 'Suspend: Ida' }).click();
  await row.getByRole('button', { name: 'Yes, suspend' }).click();
  await until('the account is not suspended', async () => (await row.getAttribute('data-person-state')) === 'suspended');
  const refused = await login();
  expect(refused === 401 || refused === 403, `who is suspended is let in: ${refused}`);
  await row.getByRole('button', { name: 'Let in again' }).click();
  await until('the account stays suspended', async () => (await row.getAttribute('data-person-state')) === 'active');
  expect((await login()) === 200, 'who is let in again is not');
  if (pictures) await page.screenshot({ path: join(pictures, 'users.png'), fullPage: true });
  await row.getByRole('button', { name: 'Delete: Ida' }).click();
  await row.getByRole('button', { name: 'Yes, delete the account' }).click();
  await until('the account is not deleted', async () => (await ask(page, 'GET', `/api/v1/users/${id}`)).status === 404);
  await until('a deleted account is listed', async () => (await row.count()) === 0);
  // The last administrator stays one, and the page says why.
  await page.getByLabel('Search by name, mail address or id').fill('root');
  const root = page.locator('[data-person="root@example.org"]');
  await root.waitFor();
  await root.getByLabel('Role').selectOption('user');
  await root.locator('[data-problem]').waitFor();
  return id;
}

/** @param {import('playwright-core').Page} page @param {string} id */
async function audit(page, id) {
  await show(page, baseUrl ?? '', '/admin/audit');
  const rows = page.locator('[data-audit]');
  await rows.first().waitFor();
  const all = await rows.count();
  await page.getByLabel('Action', { exact: false }).first().fill('user.');
  await until('the filter does nothing', async () => {
    const actions = await rows.evaluateAll((found) => found.map((row) => row.getAttribute('data-audit') ?? ''));
    return actions.length > 0 && actions.length < all && actions.every((action) => action.startsWith('user.'));
  });
  await page.getByLabel('To what').fill(id);
  await until('other accounts are shown', async () => {
    const texts = await rows.evaluateAll((found) => found.map((row) => row.textContent ?? ''));
    return texts.length > 0 && texts.every((text) => text.includes(id));
  });
  expect(page.url().includes(`target=${id}`), 'the filter is not kept in the address');
  await page.getByLabel('Until (UTC)').fill('2020-01-01');
  await page.locator('[data-empty]').waitFor();
  await page.setViewportSize({ width: 360, height: 780 });
  await show(page, baseUrl ?? '', '/admin/audit');
  await rows.first().waitFor();
  await expectNeat(page);
  await page.setViewportSize({ width: 1280, height: 900 });
  return all;
}

/** @param {import('playwright-core').Page} page */
async function webhooks(page) {
  await show(page, baseUrl ?? '', '/webhooks');
  await page.getByLabel('Address').fill('ftp://example.org/hook');
  await page.getByRole('button', { name: 'Create' }).click();
  await page.locator('[data-problem]').waitFor();
  await page.getByLabel('Address').fill(hookUrl ?? '');
  await page.getByLabel('Description').fill('Wall');
  await page.getByRole('button', { name: 'asset.ready' }).click();
  await page.getByRole('button', { name: 'webhook.*' }).click();
  await page.getByRole('button', { name: 'Create' }).click();
  const secret = await page.locator('[data-secret]').getAttribute('data-secret');
  expect(secret?.startsWith('whsec_'), `no secret is told: ${secret}`);
  await page.getByRole('link', { name: 'Wall' }).click();
  await page.getByRole('heading', { level: 1, name: 'Wall' }).waitFor();
  expect(!((await page.locator('main').textContent()) ?? '').includes(secret ?? ''), 'the secret is told again');
  const id = (await page.locator('[data-webhook]').getAttribute('data-webhook')) ?? '';
  const told = async () => (await ask(page, 'GET', `/api/v1/webhooks/${id}`)).body;
  expect((await told()).topics.join() === 'asset.ready,webhook.*', `topics: ${(await told()).topics}`);

  // A test that is taken, and one that is refused.
  await page.getByRole('button', { name: 'Send a test' }).click();
  const delivered = page.locator('[data-delivery="webhook.test"][data-delivery-state="delivered"]');
  await delivered.waitFor();
  await delivered.locator('summary').click();
  await delivered.locator('.log').getByText(/20\d/).waitFor();
  await page.getByLabel('Address').fill(`${hookUrl}/broken`);
  await page.getByRole('button', { name: 'Save' }).click();
  await until('the address is not changed', async () => (await told()).url.endsWith('/broken'));
  await page.getByRole('button', { name: 'Send a test' }).click();
  const pending = page.locator('[data-delivery-state="pending"]').first();
  await pending.waitFor();
  await pending.locator('summary').click();
  await pending.locator('.log').getByText('500').waitFor();
  if (pictures) await page.screenshot({ path: join(pictures, 'webhook.png'), fullPage: true });
  await page.locator('select[name="delivery-state"]').selectOption('delivered');
  await until('the log is not narrowed', async () => (await page.locator('[data-delivery]').count()) === 1 && (await delivered.count()) === 1);

  // Sent again, the address mended; another secret; off and on.
  await page.getByLabel('Address').fill(hookUrl ?? '');
  await page.getByRole('button', { name: 'Save' }).click();
  await until('the address is not mended', async () => !(await told()).url.endsWith('/broken'));
  const attempts = async () => {
    const { body } = await ask(page, 'GET', `/api/v1/webhooks/${id}/deliveries?state=delivered`);
    return body.data.reduce((/** @type {number} */ sum, /** @type {any} */ each) => sum + each.log.length, 0);
  };
  const before = await attempts();
  await delivered.first().getByRole('button', { name: 'Send again: webhook.test' }).click();
  await until('it is not sent again', async () => (await attempts()) > before);
  await page.getByRole('button', { name: 'Make another secret' }).click();
  const next = page.locator('[data-secret]');
  await next.waitFor();
  expect((await next.getAttribute('data-secret')) !== secret, 'the secret is the same');
  await page.getByText('The secret before signs along until').waitFor();
  await page.getByRole('button', { name: 'Switch off' }).click();
  await until('it is not off', async () => (await page.locator('[data-enabled]').getAttribute('data-enabled')) === 'false');
  expect(await page.getByRole('button', { name: 'Send a test' }).isDisabled(), 'what is off can be tested');
  await page.getByRole('button', { name: 'Switch on' }).click();
  await until('it is not on', async () => (await told()).is_enabled);
  await page.setViewportSize({ width: 360, height: 780 });
  await expectNeat(page);
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.getByRole('button', { name: 'Delete the webhook' }).click();
  await page.getByRole('button', { name: 'Yes, delete' }).click();
  await page.getByText('No webhooks.').waitFor();
  return secret;
}

await run(baseUrl, async (page) => {
  await setUp(page, setupLink);
  const id = await users(page);
  const rows = await audit(page, id);
  await webhooks(page);
  return { id, rows };
});
