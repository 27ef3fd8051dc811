/** Sessions of a server, for its operators: asks how far they are, again and again, and changes nothing. */
import { hasEnded, stateOf } from './words.js';
import { showList, showNothing, showOne, tick } from './view.js';

const KEPT = 'secagg-token';
const IN_PAGE = 25;
const AGAIN_MS = 2_000;
const AGAIN_ENDED_MS = 30_000;
const LONGEST_MS = 30_000;
const STATES = {
  all: [],
  running: ['starting', 'advertise_keys', 'share_keys', 'masked_input', 'disclosure', 'consistency_check', 'unmasking'],
  ended: ['completed', 'aborted', 'failed'],
};
const NOBODY = {
  all: 'The server has no sessions of this operator; “secagg session create” makes one.',
  running: 'No session runs now.',
  ended: 'No session has ended.',
};

const find = (id) => document.getElementById(id);
const body = find('sessions').tBodies[0];
let token = '';
let reasons = {};
let pages = [''];
let following = '';
let one = '';
let states = new Map();
let wait = AGAIN_MS;
let timer;
let asked = 0;

/** The server refused, and asking again is of no use. */
class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Takes the token out of the address, where pictures of screens would keep it; the browser's history has it by then. */
function takeToken() {
  const given = location.hash.slice(1);
  if (/^[0-9a-f]{64,}$/.test(given)) {
    sessionStorage.setItem(KEPT, given);
    history.replaceState(null, '', location.pathname);
  }
  token = sessionStorage.getItem(KEPT) ?? '';
}

async function ask(call, request) {
  const reply = await fetch(`secagg/v1/${call}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(request),
  });
  if (reply.ok) return reply.json();
  const detail = reply.headers.get('content-type') === 'application/json' ? await reply.json() : { retry: true };
  // A token that is no good is worth another login, which this page cannot do.
  if (detail.retry && reply.status !== 401) throw new Error(detail.message ?? `status ${reply.status}`);
  throw new Refused(reply.status, detail.message);
}

function say(text, tone) {
  const place = find('connection');
  if (place.textContent !== text) place.textContent = text;
  place.className = tone;
}

function tell(text, command = '') {
  if (find('told').textContent !== text) find('told').textContent = text;
  find('command').textContent = command;
  find('command').hidden = !command;
  find('notice').hidden = !text;
}

function show(section) {
  find('list').hidden = section !== 'list';
  find('one').hidden = section !== 'one';
}

/** Nothing can be asked without another token: says which command makes one. */
function end(text) {
  clearTimeout(timer);
  asked += 1;
  token = '';
  sessionStorage.removeItem(KEPT);
  show('');
  find('leave').hidden = true;
  say('not connected', '');
  const address = `${location.origin}${location.pathname.replace(/\/operator$/, '')}`;
  tell(`${text} On the machine that has the operator's key, make a link and open it here:`,
    `secagg session page --server ${address} --identity operator.key`);
}

/** Tells those who hear the page of what has changed. */
function announce(statuses) {
  const changed = statuses.filter((each) => states.has(each.session) && states.get(each.session) !== each.state);
  if (changed.length) find('news').textContent = changed.map((each) => `${each.session}: ${stateOf(each)}`).join('. ');
  for (const each of statuses) states.set(each.session, each.state);
}

/** Lets buttons be pressed, or not; whoever is on one that cannot be any more goes on from another. */
function allow(buttons) {
  const on = document.activeElement;
  for (const [button, possible] of buttons) button.disabled = !possible;
  if (on.disabled) buttons.find(([, possible]) => possible)?.[0].focus();
}

async function lookAtAll() {
  const shown = document.querySelector('input[name=shown]:checked').value;
  const reply = await ask('ListSessions', {
    page_size: IN_PAGE, page_token: pages.at(-1), states: STATES[shown], newest_first: true, without_contributors: true,
  });
  return () => {
    following = reply.next_page_token;
    announce(reply.statuses);
    showList(body, reply.statuses, { reasons, at: performance.now(), open });
    find('sessions').hidden = !reply.statuses.length;
    find('none').hidden = reply.statuses.length > 0;
    find('none').textContent = pages.length > 1 ? 'There are no older ones.' : NOBODY[shown];
    allow([[find('newer'), pages.length > 1], [find('older'), Boolean(following)]]);
    find('number').textContent = `page ${pages.length}`;
    find('pages').hidden = pages.length < 2 && !following;
    return AGAIN_MS;
  };
}

async function lookAtOne() {
  const status = await ask('GetStatus', { session: one });
  return () => {
    announce([status]);
    showOne(find('facts'), status, { reasons, at: performance.now(), open });
    return hasEnded(status) ? AGAIN_ENDED_MS : AGAIN_MS;
  };
}

/** Asks now, and again later; a reply that somebody has turned away from is not shown. */
async function look() {
  clearTimeout(timer);
  asked += 1;
  const own = asked;
  let next;
  try {
    const fill = await (one ? lookAtOne() : lookAtAll());
    if (own !== asked) return;
    next = fill();
    wait = AGAIN_MS;
    tell('');
    show(one ? 'one' : 'list');
    say('live', 'live');
  } catch (error) {
    if (own !== asked) return;
    if (error instanceof Refused) {
      if (error.status === 401) return end('This link is good no more: its time is over, or the server was started again.');
      if (error.status === 404 && one) {
        showNothing(find('facts'), error.message);
        next = AGAIN_ENDED_MS;
      } else {
        return end(`The server refused: ${error.message ?? error.status}`);
      }
    } else {
      say(`connection lost; the next try is in ${wait / 1000} s`, 'lost');
      next = wait;
      wait = Math.min(2 * wait, LONGEST_MS);
    }
  }
  if (!document.hidden) timer = setTimeout(look, next);
}

async function open(session) {
  one = session;
  find('name').textContent = session;
  show('one');
  showNothing(find('facts'), '');
  find('name').focus();
  await look();
}

async function back() {
  const before = one;
  one = '';
  show('list');
  const row = [...body.rows].find((each) => each.dataset.session === before);
  (row?.querySelector('button') ?? document.querySelector('input[name=shown]:checked')).focus();
  await look();
}

async function turn(to) {
  pages = to;
  states = new Map();
  await look();
}

async function begin() {
  takeToken();
  if (!token) return end('This page is opened by a link.');
  find('leave').hidden = false;
  say('connecting', '');
  const reply = await fetch('operator/reasons.json').catch(() => undefined);
  if (reply?.ok) reasons = await reply.json();
  await look();
}

find('place').textContent = location.host;
find('back').addEventListener('click', back);
find('leave').addEventListener('click', () => end('This page has forgotten its link.'));
find('newer').addEventListener('click', () => turn(pages.slice(0, -1)));
find('older').addEventListener('click', () => turn([...pages, following]));
for (const each of document.querySelectorAll('input[name=shown]')) each.addEventListener('change', () => turn(['']));
// Another link in the same tab loads nothing anew.
addEventListener('hashchange', begin);
document.addEventListener('visibilitychange', () => (document.hidden ? clearTimeout(timer) : token && look()));
setInterval(() => tick(performance.now()), 250);
await begin();
