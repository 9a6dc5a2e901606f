// The page of spend.db in a browser: nothing runs that must not, nothing is fetched, its numbers are those of `outlay report`, and it can be
// used without seeing it and without a mouse.
//
//   page.mjs OUTLAY DIRECTORY CHROMIUM      DIRECTORY: where the packages and spend.db are; pictures go there
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [outlay, directory, executablePath] = process.argv.slice(2);
const inside = (name) => path.resolve(directory, name);
const require = createRequire(inside('package.json'));
const { chromium } = require('playwright-core');
const run = (...words) => execFileSync(outlay, words, { encoding: 'utf8', maxBuffer: 1 << 28 });

let checks = 0;
const check = (name, body) => Promise.resolve(body()).then(() => { checks += 1; console.log('ok   ' + name); });

run('report', inside('spend.db'), '--html', inside('spend.html'));
const reported = (by) => JSON.parse(run('report', inside('spend.db'), '--format', 'json', ...(by ? ['--by', by] : [])).replace(
  /"(\w+_nanos)":(-?\d+)/g, '"$1":"$2"'));

// Without a sandbox where this runs as root, which Chromium's does not work for.
const args = process.getuid() === 0 ? ['--no-sandbox'] : [];
const browser = await chromium.launch({ executablePath, args });
const url = pathToFileURL(inside('spend.html')).href;
const said = [];
const requested = [];
const open = async (options, address = url) => {
  const page = await (await browser.newContext(options)).newPage();
  page.on('console', (message) => said.push(message.text()));
  page.on('pageerror', (error) => said.push(error.message));
  page.on('dialog', (dialog) => { said.push(dialog.message()); dialog.dismiss(); });
  page.on('request', (request) => { if (request.url() !== address && request.url() !== 'data:,') requested.push(request.url()); });
  await page.goto(address);
  return page;
};

try {
  const desktop = { viewport: { width: 1280, height: 900 } };
  const page = await open(desktop);

  for (const [name, options] of [['desktop', desktop], ['dark', { ...desktop, colorScheme: 'dark' }],
    ['phone', { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true }],
    ['print', { ...desktop }]])
    await check(`${name}: fits its width, and an accessibility check finds nothing`, async () => {
      const shown = await open(options);
      if (name === 'print') await shown.emulateMedia({ media: 'print' });
      await shown.screenshot({ path: inside(`page-${name}.png`), fullPage: true });
      if (name === 'print') await shown.pdf({ path: inside('page.pdf'), format: 'A4' });
      assert.equal(await shown.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), true);
      // axe is given to the page past its policy, as a person's extension would be.
      await shown.evaluate(require('axe-core').source);
      const found = await shown.evaluate(async () => {
        const result = await window.axe.run(document);
        return result.violations.map((one) => `${one.id}: ${one.help} (${one.nodes.slice(0, 3).map((node) => node.target)})`);
      });
      assert.deepEqual(found, []);
    });

  await check('every sum is that of outlay report, to the nano-dollar', async () => {
    const total = reported().total;
    for (const [id, member] of [['total', 'usd_nanos'], ['exact', 'exact_nanos'], ['estimated', 'estimated_nanos'],
      ['indeterminate', 'indeterminate_nanos']])
      assert.equal(await page.getAttribute('#' + id, 'data-n'), total[member], id);
    const keys = await page.$$eval('[data-key]', (panels) => panels.map((panel) => panel.dataset.key));
    assert.deepEqual(keys, ['model', 'provider', 'budget', 'feature', 'label', 'user_id']);
    for (const key of keys) {
      const rows = await page.$$eval(`[data-key="${key}"] tbody tr`, (all) => all.map((row) => [...row.cells].map((cell, at) =>
        at === 0 ? cell.textContent : cell.dataset.n)));
      const expected = reported(key).rows.map((row) => [row.tags[key], row.usd_nanos, row.usd_nanos, row.calls,
        row.input + row.cache_read + row.cache_write + row.cache_write_1h, row.output, row.estimated_nanos,
        row.indeterminate_nanos, row.unpriced_calls, row.rejected_calls, row.blocked_calls].map(String));
      assert.deepEqual(rows.map((row) => row.slice(1)), expected.map((row) => row.slice(1)), key);
      // Harmful names are read as they are written, but for what a terminal or a reader of text might obey.
      const harmless = (text) => (text === 'undefined' ? '(none)' : text).replace(/[\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069]/g, '\ufffd');
      assert.deepEqual(rows.map((row) => row[0]), expected.map((row) => harmless(row[0])), key);
    }
  });

  await check('the pairs of --by are those of outlay report, can be chosen, and an accessibility check finds nothing', async () => {
    const by = 'feature,user_id';
    run('report', inside('spend.db'), '--by', by, '--html', inside('pairs.html'));
    const shown = await open(desktop, pathToFileURL(inside('pairs.html')).href);
    const rows = await shown.$$eval('#together tbody tr', (all) => all.map((row) => [...row.cells].map((cell, at) =>
      at < 2 ? cell.textContent : cell.dataset.n)));
    const { rows: expected } = reported(by);
    assert.deepEqual(rows.map((row) => row.slice(2)), expected.slice(0, 1000).map((row) => [row.usd_nanos, row.usd_nanos, row.calls,
      row.input + row.cache_read + row.cache_write + row.cache_write_1h, row.output, row.estimated_nanos, row.indeterminate_nanos,
      row.unpriced_calls, row.rejected_calls, row.blocked_calls].map(String)));
    assert.equal(await shown.isVisible('#together'), false);
    await shown.check('input[value=together]', { force: true });
    assert.equal(await shown.isVisible('#together'), true);
    assert.equal(await shown.isVisible('[data-key="feature"]'), false);
    await shown.screenshot({ path: inside('page-pairs.png'), fullPage: true });
    assert.equal(await shown.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), true);
    await shown.evaluate(require('axe-core').source);
    assert.deepEqual(await shown.evaluate(async () => (await window.axe.run(document)).violations.map((one) => one.id + ': ' + one.help)), []);
  });

  await check('on a desktop no table is wider than the page, and none hides rows', async () => {
    const shown = await open(desktop);
    for (const radio of await shown.$$('input[name=by]')) {
      await radio.check({ force: true });
      const wide = await shown.$$eval('.scroll', (all) => all.filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.ariaLabel));
      assert.deepEqual(wide, []);
    }
    const short = await page.$$eval('.scroll', (all) => all.filter((one) => one.querySelectorAll('tbody tr').length <= 30 &&
      one.scrollHeight > one.clientHeight + 1).map((one) => one.ariaLabel));
    assert.deepEqual(short, []);
  });

  await check('no label of a chart touches another', async () => {
    for (const options of [desktop, { viewport: { width: 390, height: 844 } }]) {
      const shown = await open(options);
      const overlaps = await shown.$$eval('.chart', (charts) => charts.map((chart) => {
        const boxes = [...chart.querySelectorAll('text')].map((text) => text.getBoundingClientRect()).filter((box) => box.width);
        const frame = chart.getBoundingClientRect();
        return boxes.some((a, i) => a.left < frame.left || a.right > frame.right + 1 || boxes.some((b, j) => j > i && a.left < b.right &&
          b.left < a.right && a.top < b.bottom && b.top < a.bottom));
      }));
      assert.equal(overlaps.includes(true), false);
    }
  });

  await check('no number of a card is broken over lines, on paper neither', async () => {
    for (const [width, media] of [[1280, 'screen'], [718, 'print'], [390, 'screen'], [320, 'screen']]) {
      const shown = await open({ viewport: { width, height: 900 } });
      await shown.emulateMedia({ media });
      const broken = await shown.$$eval('.cards:not(.wide) dd', (all) => all.map((one) => one.firstChild).filter((text) => {
        const range = document.createRange();
        range.selectNode(text);
        return range.getClientRects().length > 1;
      }).map((text) => text.textContent));
      assert.deepEqual(broken, [], `${media} ${width}`);
    }
  });

  await check('what was not spent is there of each kind', async () => {
    for (const kind of ['refused', 'downgraded', 'clamped', 'cut'])
      assert.ok(BigInt(await page.getAttribute('#saved-' + kind, 'data-n')) > 0n, kind);
  });

  await check('every day of the month has a bar', async () => {
    const bars = await page.$$eval('[data-section="by-0"] .bar', (all) => all.length);
    assert.equal(bars, 31);
  });

  await check('harmful names are shown and not run', async () => {
    assert.equal(await page.title(), 'Where the money went');
    const text = await page.textContent('body');
    for (const name of ["<script>document.title='run'</script>", "=cmd|' /C calc'!A0", 'onerror=', '</style></title>'])
      assert.ok(text.includes(name), name);
    assert.equal(await page.$$eval('script', (all) => all.length), 1);
    assert.equal(await page.$$eval('img, iframe, object, link[rel=stylesheet]', (all) => all.length), 0);
    assert.ok(text.includes('W'.repeat(4096)));
  });

  await check('a key is chosen, a table sorted and filtered, and a chart read, by keyboard alone', async () => {
    await page.focus('input[name=by]:checked');
    for (let i = 0; i < 5; ++i) await page.keyboard.press('ArrowRight');
    assert.equal(await page.isVisible('[data-key="user_id"]'), true);
    assert.equal(await page.isVisible('[data-key="model"]'), false);

    const section = '[data-key="user_id"] ';
    await page.focus(section + 'thead th:nth-child(4) button');
    await page.keyboard.press('Enter');
    const calls = () => page.$$eval(section + 'tbody tr', (rows) => rows.map((row) => Number(row.cells[3].dataset.n)));
    assert.deepEqual(await calls(), (await calls()).toSorted((a, b) => b - a));
    assert.equal(await page.getAttribute(section + 'thead th:nth-child(4)', 'aria-sort'), 'descending');
    await page.keyboard.press('Enter');
    assert.deepEqual(await calls(), (await calls()).toSorted((a, b) => a - b));

    await page.fill(section + 'input[type=search]', 'USER-39');
    assert.deepEqual(await page.$$eval(section + 'tbody tr', (rows) => rows.filter((row) => !row.hidden).length), 1);
    assert.match(await page.textContent(section + '.found'), /^1 of 40 rows$/);

    const chart = '[data-section="by-5"] ';
    await page.focus(chart + '.bar');
    await page.keyboard.press('ArrowRight');
    assert.match(await page.textContent(chart + '.detail'), /^2026-10-02: \$[\d.,]+; user-0 \$/);
    await page.keyboard.press('End');
    assert.match(await page.textContent(chart + '.detail'), /^2026-10-31: /);
    await page.focus(chart + '.legend button');
    await page.keyboard.press('Space');
    assert.equal(await page.getAttribute(chart + '.legend button', 'aria-pressed'), 'true');
  });

  await check('without its script every table and chart is there', async () => {
    const still = await open({ ...desktop, javaScriptEnabled: false });
    assert.equal(await still.isVisible('[data-key="model"]') && await still.isVisible('[data-key="user_id"]'), true);
    assert.equal(await still.isVisible('input[type=search]'), false);
  });

  await check('nothing was said on the console, and nothing was requested', () => {
    assert.deepEqual(said, []);
    assert.deepEqual(requested, []);
  });

  await check('the policy refuses any other script, style or request', async () => {
    const refused = await page.evaluate(async () => {
      const violations = [];
      document.addEventListener('securitypolicyviolation', (event) => violations.push(event.effectiveDirective));
      const script = document.createElement('script');
      script.textContent = "document.title = 'run'";
      document.body.append(script);
      document.body.setAttribute('style', 'color: red');
      await fetch('https://example.com/').catch(() => {});
      const image = document.createElement('img');
      image.src = 'https://example.com/x.png';
      document.body.append(image);
      for (let i = 0; violations.length < 4 && i < 100; ++i) await new Promise((done) => requestAnimationFrame(done));
      return violations.sort();
    });
    assert.deepEqual(refused, ['connect-src', 'img-src', 'script-src-elem', 'style-src-attr']);
    assert.equal(await page.title(), 'Where the money went');
  });
  console.log(`${checks} checks passed`);
} finally {
  await browser.close();
}
