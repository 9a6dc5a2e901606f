#include "cli/page.hpp"

namespace outlay::cli {

const std::string_view page_style = R"css(
:root { color-scheme: light dark; --back: #fbfbfa; --card: #fff; --text: #1c2024; --soft: #5c6570; --line: #dfe3e8; --accent: #1a5fb4;
  --s0: #1a5fb4; --s1: #e66100; --s2: #26803f; --s3: #9141ac; --s4: #c01c28; --s5: #0e7c86; --s6: #986a00; --s7: #63452c; --s8: #8a929b;
  --warn: #8a4b00; --warn-back: #fff4e0; }
@media (prefers-color-scheme: dark) { :root { --back: #15181c; --card: #1d2126; --text: #e8eaed; --soft: #a4adb8; --line: #363c44;
  --accent: #78aeed; --s0: #78aeed; --s1: #ffa348; --s2: #6fcf97; --s3: #c89be0; --s4: #f28b82; --s5: #5fc9d1; --s6: #e5c04a;
  --s7: #c2a289; --s8: #8b95a1; --warn: #ffcf8a; --warn-back: #3a2a12; } }
* { box-sizing: border-box; }
html { font: 16px/1.5 system-ui, sans-serif; background: var(--back); color: var(--text); }
body { margin: 0; }
main, header { max-width: 80rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .75rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .5rem; }
p { margin: .5rem 0; }
.soft { color: var(--soft); overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; margin: 1.25rem 0; padding: 0; }
.cards.wide { grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); }
.cards div { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .7rem .8rem; }
.cards dt { color: var(--soft); font-size: .85rem; }
.cards dd { margin: 0; font-size: 1.2rem; font-weight: 600; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.cards .note { display: block; font-size: .8rem; font-weight: 400; color: var(--soft); }
.warn { background: var(--warn-back); color: var(--warn); border-radius: .5rem; padding: .6rem 1rem; }
fieldset { border: 0; margin: 0 0 .75rem; padding: 0; display: flex; flex-wrap: wrap; gap: .4rem; min-width: 0; }
legend { float: left; padding: .25rem .5rem .25rem 0; color: var(--soft); }
fieldset label { border: 1px solid var(--line); border-radius: 2rem; padding: .25rem .8rem; background: var(--card); cursor: pointer;
  max-width: 16rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
fieldset label:has(:checked) { border-color: var(--accent); box-shadow: inset 0 0 0 1px var(--accent); font-weight: 600; }
fieldset input { position: absolute; opacity: 0; }
fieldset label:has(:focus-visible) { outline: 3px solid var(--accent); outline-offset: 2px; }
.panel { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: 1rem; margin-bottom: 1rem; }
.panel h3:first-child { margin-top: 0; }
.scroll { overflow: auto; } .scroll.long { max-height: 40rem; }
.scroll:focus-visible, button:focus-visible, input:focus-visible, .bar:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.chart { display: block; width: 100%; min-width: 40rem; height: auto; }
.grid { stroke: var(--line); }
.axis { fill: var(--soft); font-size: 12px; font-variant-numeric: tabular-nums; }
.end { text-anchor: end; }
.hit { fill: transparent; }
.bar:hover .hit, .bar:focus .hit { fill: var(--line); fill-opacity: .6; }
.s0 { fill: var(--s0); } .s1 { fill: var(--s1); } .s2 { fill: var(--s2); } .s3 { fill: var(--s3); } .s4 { fill: var(--s4); }
.s5 { fill: var(--s5); } .s6 { fill: var(--s6); } .s7 { fill: var(--s7); } .s8 { fill: var(--s8); }
.chosen .chart [class^=s] { opacity: .12; }
.chosen .chart .on { opacity: 1; }
.detail { color: var(--soft); min-height: 1.5em; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem .5rem; margin: .5rem 0 0; padding: 0; }
.legend button { display: flex; align-items: center; gap: .4rem; max-width: 20rem; }
.swatch { width: .8rem; height: .8rem; flex: none; }
button { font: inherit; color: inherit; background: none; border: 1px solid transparent; border-radius: .3rem; padding: .1rem .4rem; cursor: pointer; }
button[aria-pressed=true] { border-color: var(--accent); font-weight: 600; }
.name { display: inline-block; max-width: 22rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; vertical-align: bottom; }
table .name { max-width: 12rem; }
.meaning { min-width: 14rem; }
td .name:focus, td .name:hover { white-space: normal; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: start; padding: .35rem .45rem; border-bottom: 1px solid var(--line); vertical-align: top; }
thead th { position: sticky; top: 0; background: var(--card); white-space: nowrap; }
th button { font-weight: 600; padding: 0; }
th[aria-sort=descending] button::after { content: " \2193"; }
th[aria-sort=ascending] button::after { content: " \2191"; }
tbody th { font-weight: 400; }
.time { white-space: nowrap; }
.num { text-align: end; font-variant-numeric: tabular-nums; white-space: nowrap; }
.share { width: 5rem; height: .7rem; vertical-align: middle; background: var(--line); border-radius: .2rem; }
.share .fill { fill: var(--accent); } .share .over { fill: var(--s4); } .share .tick { stroke: var(--text); stroke-width: .6; }
input[type=search] { font: inherit; padding: .3rem .6rem; border: 1px solid var(--soft); border-radius: .3rem; background: var(--back); color: inherit;
  max-width: 100%; }
.tags { color: var(--soft); overflow-wrap: anywhere; min-width: 12rem; }
html:not(.script) .needs-script { display: none; }
footer { max-width: 80rem; margin: 2rem auto; padding: 0 1.25rem 2rem; color: var(--soft); font-size: .85rem; }
@media (max-width: 40rem) { html { font-size: 15px; } main, header, footer { padding-inline: .9rem; } .panel { padding: .7rem; } .name { max-width: 12rem; }
  .cards:not(.wide) { grid-template-columns: repeat(2, minmax(0, 1fr)); } .cards dd { font-size: 1.05rem; } .cards div { padding-inline: .6rem; } .axis { font-size: 16px; }
  table .name { max-width: 10rem; } }
@media print { :root { color-scheme: light; --back: #fff; --card: #fff; --text: #000; --soft: #444; --line: #bbb; --accent: #1a5fb4; --s0: #1a5fb4;
  --s1: #e66100; --s2: #26803f; --s3: #9141ac; --s4: #c01c28; --s5: #0e7c86; --s6: #986a00; --s7: #63452c; --s8: #8a929b; --warn: #000;
  --warn-back: #eee; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .cards:not(.wide) { grid-template-columns: repeat(4, minmax(0, 1fr)); }
  html { font-size: 11px; } main, header, footer { max-width: none; }
  .scroll, .scroll.long { max-height: none; overflow: visible; } .chart { min-width: 0; } .needs-script { display: none; }
  .panel { border: 0; padding: 0; } thead th { position: static; } tr, .chart, .cards div { break-inside: avoid; } h2, h3 { break-after: avoid; } }
)css";

const std::string_view page_script = R"js(
'use strict';
const all = (selector, where = document) => [...where.querySelectorAll(selector)];
document.documentElement.classList.add('script');

// One key at a time.
const choose = (key) => all('[data-section]').forEach((section) => { section.hidden = section.dataset.section !== key; });
all('input[name=by]').forEach((radio) => {
  radio.addEventListener('change', () => choose(radio.value));
  if (radio.checked) choose(radio.value);
});

// What a bar says, by pointer and by keyboard.
all('.chart').forEach((chart) => {
  const detail = chart.closest('.panel').querySelector('.detail'), bars = all('.bar', chart);
  const show = (bar) => { detail.textContent = bar.getAttribute('aria-label'); };
  bars.forEach((bar, at) => {
    bar.addEventListener('pointerenter', () => show(bar));
    bar.addEventListener('focus', () => show(bar));
    bar.addEventListener('keydown', (event) => {
      const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: bars.length - 1 }[event.key];
      if (to === undefined || !bars[to]) return;
      event.preventDefault();
      bar.tabIndex = -1;
      bars[to].tabIndex = 0;
      bars[to].focus();
    });
  });
});

// One value of a chart at a time.
all('.legend button').forEach((button) => button.addEventListener('click', () => {
  const panel = button.closest('.panel'), on = button.getAttribute('aria-pressed') !== 'true';
  all('.legend button', panel).forEach((other) => other.setAttribute('aria-pressed', String(on && other === button)));
  panel.classList.toggle('chosen', on);
  all('.chart .on', panel).forEach((part) => part.classList.remove('on'));
  if (on) all('.chart .' + button.dataset.series, panel).forEach((part) => part.classList.add('on'));
}));

// Numbers are compared as they are, to the nano-dollar.
const compare = (a, b) => {
  const [x, y] = [a, b].map((cell) => cell.dataset.n === undefined ? cell.textContent : BigInt(cell.dataset.n));
  return typeof x === 'string' ? x.localeCompare(y) : x < y ? -1 : x > y ? 1 : 0;
};
all('thead th').forEach((header) => header.querySelector('button')?.addEventListener('click', () => {
  const table = header.closest('table'), body = table.tBodies[0], column = header.cellIndex;
  const number = header.classList.contains('num'), now = header.getAttribute('aria-sort');
  const down = now ? now === 'ascending' : number;
  all('th[aria-sort]', table).forEach((other) => other.removeAttribute('aria-sort'));
  header.setAttribute('aria-sort', down ? 'descending' : 'ascending');
  body.append(...[...body.rows].sort((a, b) => compare(a.cells[column], b.cells[column]) * (down ? -1 : 1)));
}));

all('input[type=search]').forEach((input) => input.addEventListener('input', () => {
  const words = input.value.toLowerCase();
  const rows = [...document.getElementById(input.dataset.table).tBodies[0].rows];
  rows.forEach((row) => { row.hidden = !row.textContent.toLowerCase().includes(words); });
  const shown = rows.filter((row) => !row.hidden).length;
  input.closest('.panel').querySelector('.found').textContent = words ? shown + ' of ' + rows.length + ' rows' : '';
}));
)js";

const char* meaning(Action action) noexcept {
  switch (action) {
    case Action::blocked:
      return "a call was refused before it was sent";
    case Action::truncated:
      return "a call was left out, quietly";
    case Action::downgraded:
      return "a call ran on a cheaper model";
    case Action::clamped:
      return "a call got a lower ceiling on its output";
    case Action::raised:
      return "a call that was let through took a budget over its cap";
    case Action::allowed:
      return "the program let a call through";
    case Action::warned:
      return "a call was let through with a warning";
    case Action::waited:
      return "a call waited for room";
    case Action::cut:
      return "a running answer was ended";
    case Action::threshold:
      return "a part of a cap was reached that was to be announced";
    case Action::overrun:
      return "a call used more than was reserved for it, and a cap was passed";
    case Action::cap_raised:
      return "the program raised a cap";
    case Action::closed:
      return "a budget was closed to new calls";
    case Action::observed:
      return "a call would have been refused; budgets only watch";
    case Action::adjusted:
      return "what was spent was corrected";
    case Action::unshared:
      return "a call was admitted while the shared caps were out of reach";
    case Action::retry_storm:
      return "many attempts in a row failed";
    case Action::cap_lowered:
      return "the program lowered a cap";
    case Action::cap_set:
      return "an operator set a cap";
    case Action::expired:
      return "a call's reservation ran out, since its process ended or left it alone";
  }
  return "";
}

}  // namespace outlay::cli
