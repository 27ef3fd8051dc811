/**
 * The page: asks, takes part, and shows what happens. All text is put in as text.
 */
import { bars, countRows, element } from './drawing.js';
import { invitationOf, join, placeOf } from './joining.js';
import { lacking } from './needs.js';
import { promised, randomize } from './randomizing.js';
import { Story } from './story.js';
import questionText from './question.json';

const question = JSON.parse(questionText);
const response = { options: question.options.length, keep: question.keep };
const STEP_MS = 700;
const POLL_MS = 1000;

const $ = (id) => document.getElementById(id);
const show = (id, shown = true) => { $(id).hidden = !shown; };
const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

/** What went wrong, in a sentence, and where it is read. */
function problem(sentence) {
  $('problem').textContent = sentence;
  show('problem', sentence !== '');
}

/** What is kept of an answer, so that a page that is loaded again gives the same, and never randomizes twice. */
class Kept {
  constructor(invitation) {
    this.name = placeOf(invitation);
  }

  get() {
    return JSON.parse(localStorage.getItem(this.name) ?? 'null');
  }

  set(value) {
    localStorage.setItem(this.name, JSON.stringify(value));
  }
}

/** Shows steps in order, each for as long as it takes to read that it is there. */
class Course {
  #shown = Promise.resolve();
  #pause = matchMedia('(prefers-reduced-motion: reduce)').matches ? 0 : STEP_MS;

  tell(step, state, sentence, drawn = undefined) {
    this.#shown = this.#shown.then(async () => {
      const place = $(`step-${step}`);
      if (!place) return;
      place.className = state;
      place.append(element('p', sentence));
      $('now').textContent = `${place.querySelector('h3').textContent}: ${sentence}`;
      if (drawn) this.#draw(place, drawn);
      await pause(this.#pause);
    });
    return this.#shown;
  }

  #draw(place, { fields, payload, given, most }) {
    const hexadecimal = Array.from(payload, (byte) => byte.toString(16).padStart(2, '0')).join('');
    const seen = bars(fields, most, 'noise', 'What the server sees:');
    seen.append(element('code', hexadecimal));
    const both = element('div', '', { class: 'noise' });
    both.append(bars(given, 1, 'plain', 'What your device has:'), seen);
    place.append(both);
  }
}

function inputOf({ row, given }) {
  const input = new BigInt64Array(2 * response.options);
  input[row * response.options + given] = 1n;
  return input;
}

/** Takes part with what is kept, and returns once the session is over for this device. */
async function takePart(invitation, kept, course, signal) {
  const { answer } = kept.get();
  const input = inputOf(answer);
  let story;
  let claimed = false;
  course.tell('join', 'going', 'Your device makes a key of its own, and shows that it was invited.');
  // As `context_file` of `secagg serve` has it.
  const context = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(questionText)));
  await join(invitation, {
    input,
    question,
    context,
    signal,
    onClaimed() {
      if (!claimed) course.tell('join', 'going', 'Your invitation is accepted. Waiting for the other participants.');
      claimed = true;
    },
    onMessage(kind, message) {
      if (kind === 'offer') {
        story = new Story(message);
        course.tell('join', 'done', `${story.cohort} participants stand in the roster that was signed, you among them.`);
        return;
      }
      const [step, state, sentence, drawn] = kind === 'request' ? story.asked(message) : story.answered(message);
      course.tell(step, state, sentence, drawn && { ...drawn, given: [...input].map(Number), most: 2 ** story.width - 1 });
    },
    onTrouble: problem,
  });
  problem('');
  await course.tell('unmasking', 'done', 'The noise is out of the sum, and your device has forgotten the keys of this session.');
}

/** Waits for what the host publishes. */
async function published(signal) {
  for (;;) {
    try {
      const reply = await fetch('result.json', { cache: 'no-store', signal });
      if (reply.status === 404) {
        problem('Your answer is given. The total is not published yet: this page shows it once it is, today or when you open it again.');
      } else {
        const found = await reply.json();
        problem('');
        if (found.state === 'done' || found.state === 'failed') return found;
      }
    } catch (error) {
      if (signal.aborted) throw error;
      problem('The result cannot be fetched just now; this page goes on trying, and your answer is given already.');
    }
    await pause(POLL_MS);
  }
}

function showResult(found) {
  const left = Object.keys(found.left).length;
  if (found.state === 'failed') {
    $('summary').textContent = `The survey ended without a total: ${found.why}. Nobody learned any answer.`;
    show('counts', false);
  } else {
    const after = Object.keys(found.left).filter((client) => found.contributors.includes(Number(client))).length;
    const late = after ? `, ${after} of them after the answer had arrived` : '';
    $('summary').textContent = `${found.answered} of ${found.asked} answered, and ${left} left on the way${late}.`;
    $('counts').tBodies[0].replaceChildren(...countRows(question.options, found));
    $('error').textContent = `As given: counted exactly. Randomized: counted as they came. All, estimated: with the randomized ones as they probably were meant, each figure give or take ${found.deviation.toFixed(1)}.`;
    $('yours').textContent = `Yours is 1 of these ${found.answered} answers: whoever sees this total, and not all the others, cannot tell which one.`;
  }
  show('result');
  $('result-title').focus();
}

/** The form's answer, randomized here if it is to be. */
function chosen(form) {
  const answer = Number(new FormData(form).get('answer'));
  return $('randomize').checked ? { row: 1, given: randomize(response, answer) } : { row: 0, given: answer };
}

function fillForm() {
  $('question').textContent = question.question;
  $('options').replaceChildren(...question.options.map((option, i) => {
    const label = element('label');
    label.append(element('input', '', { type: 'radio', name: 'answer', value: i, required: '' }), element('span', option));
    return label;
  }));
  const { told, likelier, epsilon } = promised(response);
  $('epsilon').textContent = `Then it leaves this device as it is with a probability of ${Math.round(told * 100)} %, and else as another one, drawn by chance: whatever is seen of it, even by somebody who breaks everything else here, is at most ${likelier} times as likely from you as from a person of any other opinion (ε = ${epsilon}).`;
}

const codeDigest = () => {
  const integrity = document.querySelector('script[src]').integrity;
  return Array.from(atob(integrity.replace('sha256-', '')), (each) => each.charCodeAt(0).toString(16).padStart(2, '0')).join('');
};

function goOn(invitation, kept) {
  const leaving = new AbortController();
  show('course');
  show('leaving');
  $('course-title').focus();
  $('leave').onclick = () => leaving.abort();
  const course = new Course();
  takePart(invitation, kept, course, leaving.signal)
    .then(() => {
      kept.set({ over: true }); // The answer itself is not needed any more.
      show('leaving', false);
      return published(leaving.signal).then(showResult);
    })
    .catch((error) => {
      show('leaving', false);
      const sentence = leaving.signal.aborted
        ? 'You have left. The others go on without you; an answer that had arrived before counts, masked as it is.'
        : error.message;
      if (leaving.signal.aborted || error.over) kept.set({ over: true, sentence });
      problem(sentence);
    });
}

/** Goes on from what is kept of this place, in this tab or another one; whether anything is. */
function goOnFrom(kept, invitation) {
  const before = kept.get();
  show('ask', !before);
  if (before?.sentence) problem(before.sentence);
  else if (before?.over) published(new AbortController().signal).then(showResult);
  else if (before) goOn(invitation, kept);
  return Boolean(before);
}

function start() {
  fillForm();
  $('origin').textContent = location.origin;
  $('digest').textContent = codeDigest();
  const lack = lacking();
  if (lack) return problem(lack);
  let invitation;
  try {
    invitation = invitationOf(location.href);
  } catch (error) {
    return problem(error.message);
  }
  const kept = new Kept(invitation);
  problem('');
  if (goOnFrom(kept, invitation)) return;
  $('ask').onsubmit = (event) => {
    event.preventDefault();
    // Another tab may have answered in the meantime: its answer counts.
    if (!kept.get()) kept.set({ answer: chosen($('ask')) });
    $('ask').reset(); // What was meant is nowhere any more, where what is sent is randomized.
    goOnFrom(kept, invitation);
  };
  $('decline').onclick = () => {
    show('ask', false);
    problem('You have not answered, and nothing has left this device. As long as the invitation is good, you can open it again.');
  };
}

start();
