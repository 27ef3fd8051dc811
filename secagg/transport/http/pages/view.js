/** What the page shows of sessions. Texts come from others: they become text, never markup. */
import { bytesOf, droppedOf, durationOf, hasEnded, rangesOf, reasonOf, stateOf, sumOf, timeOf } from './words.js';

const COLUMNS = ['Session', 'State', 'Time left', 'Answered', 'Dropped', 'On disk', 'Sum'];

/** An element with properties and children, of which texts are texts. */
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

const list = (items) => element('ul', {}, ...items.map((item) => element('li', {}, item)));
const quantity = (count, what) => `${count} ${what}${Number(count) === 1 ? '' : 's'}`;

function stateCell(status) {
  const tone = { completed: 'good', aborted: 'bad', failed: 'bad' }[status.state] ?? '';
  return element('span', { className: tone }, stateOf(status));
}

function answeredCell(status) {
  const [answered, expected] = [Number(status.answered), Number(status.expected)];
  if (!expected) return [];
  const bar = element('progress', { max: expected, value: answered });
  bar.setAttribute('aria-label', `${answered} of ${expected} answered`);
  return [`${answered} of ${expected}`, bar];
}

function droppedCell(status, reasons) {
  const why = status.dropped.map(({ reason_id: id, clients }) => element('small', {}, `${clients}: ${reasonOf(id, reasons)}`));
  return [`${droppedOf(status)} of ${status.clients}`, ...why];
}

/** Seconds left are counted down between two replies: `data-until` is when they are over, by the page's clock. */
function timer(status, at) {
  if (status.seconds_left === undefined) return [];
  const until = at + status.seconds_left * 1000;
  const made = element('span', {}, durationOf(status.seconds_left));
  made.dataset.until = String(until);
  return [made];
}

/** Counts all timers down. */
export function tick(now) {
  for (const each of document.querySelectorAll('[data-until]')) {
    const text = durationOf((Number(each.dataset.until) - now) / 1000);
    if (each.textContent !== text) each.textContent = text;
  }
}

/** What was shown last in an element: what has not changed is left alone, with whatever is marked or read aloud in it. */
const shown = new WeakMap();

function hasChanged(place, status) {
  const seen = JSON.stringify({ ...status, seconds_left: undefined });
  const changed = shown.get(place) !== seen;
  shown.set(place, seen);
  return changed;
}

function setTimer(place, status, at) {
  const found = place.querySelector('[data-until]');
  if (found && status.seconds_left !== undefined) found.dataset.until = String(at + status.seconds_left * 1000);
}

/** Fills the table; a row that was there stays, so that whoever is on it keeps their place: one that is moved loses it. */
export function showList(body, statuses, { reasons, at, open }) {
  const wanted = new Set(statuses.map(({ session }) => session));
  for (const row of [...body.rows]) if (!wanted.has(row.dataset.session)) row.remove();
  const rows = new Map([...body.rows].map((row) => [row.dataset.session, row]));
  for (const [index, status] of statuses.entries()) {
    const row = rows.get(status.session) ?? newRow(status.session, open);
    if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] ?? null);
    if (hasChanged(row, status)) {
      const sum = sumOf(status);
      const cells = [
        [stateCell(status)], timer(status, at), answeredCell(status), droppedCell(status, reasons), [bytesOf(status.stored_bytes)],
        sum ? [element('span', { className: status.result_ready ? 'good' : '' }, sum)] : [],
      ];
      for (const [column, content] of cells.entries()) {
        const cell = row.cells[column + 1];
        cell.firstElementChild.replaceChildren(...content);
        cell.classList.toggle('empty', !content.length);
      }
    }
    setTimer(row, status, at);
  }
}

function newRow(session, open) {
  const row = element('tr');
  row.setAttribute('role', 'row');
  row.dataset.session = session;
  for (const column of COLUMNS) {
    const cell = row.insertCell();
    cell.setAttribute('role', 'cell');
    cell.dataset.column = column;
    cell.append(element('div'));
  }
  row.cells[0].firstElementChild.append(element('button', { type: 'button', onclick: () => open(session) }, session));
  return row;
}

/** Says that there is nothing to say. */
export function showNothing(facts, sentence) {
  if (hasChanged(facts, sentence)) facts.replaceChildren(element('dt', {}, 'State'), element('dd', {}, sentence));
}

/** Fills the facts of one session. */
export function showOne(facts, status, { reasons, at, open }) {
  if (!hasChanged(facts, status)) {
    setTimer(facts, status, at);
    return;
  }
  const contributors = status.contributors?.clients;
  const rows = [
    ['State', [stateCell(status)]],
    ['Time left in this round', timer(status, at)],
    ['Cohort', [quantity(status.clients, 'client')]],
    ['Answered in this round', answeredCell(status)],
    ['Still awaited', Number(status.expected) ? [quantity(status.pending, 'client')] : []],
    ['Dropped', status.dropped.length
      ? [list(status.dropped.map(({ reason_id: id, clients }) => `${quantity(clients, 'client')}: ${reasonOf(id, reasons)}`))]
      : ['nobody']],
    ['Sum', [sumOf(status) || 'not yet']],
    ['In the sum', contributors ? [quantity(contributors.length, 'client'), element('small', {}, rangesOf(contributors))] : []],
    ['Why it ended', status.abort_reason_id || status.detail
      ? [[reasonOf(status.abort_reason_id, reasons), status.detail].filter(Boolean).join(': ')] : []],
    ['To blame', blamed(status, reasons)],
    ['Goes on as', status.successor
      ? [element('button', { type: 'button', onclick: () => open(status.successor) }, status.successor)] : []],
    ['On disk', [`${bytesOf(status.stored_bytes)} in ${quantity(status.log_entries, 'entry').replace('entrys', 'entries')} of the log`]],
    ['Created', [timeOf(status.created_at)]],
    ['Ended', hasEnded(status) ? [timeOf(status.ended_at)] : []],
  ];
  const wanted = rows.filter(([, content]) => content.some((each) => each !== ''));
  // Whoever was on a button here is on one again.
  const focused = facts.contains(document.activeElement);
  facts.replaceChildren(...wanted.flatMap(([term, content]) => [element('dt', {}, term), element('dd', {}, ...content)]));
  if (focused) facts.querySelector('button')?.focus();
}

function blamed(status, reasons) {
  if (!status.blame.length) return [];
  const shown = (evidence) => (evidence ? 'with evidence' : 'a hint only');
  return [list(status.blame.map(({ client, reason_id: id, evidence }) => `client ${client}: ${reasonOf(id, reasons)}, ${shown(evidence)}`))];
}
