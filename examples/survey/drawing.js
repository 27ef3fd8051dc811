/**
 * Bars and tables, as elements: no markup is ever parsed.
 */
const SVG = 'http://www.w3.org/2000/svg';

export function element(name, text = '', attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const HEIGHT = 40;

/** A picture of numbers, from 0 to `most`, one bar each. */
export function bars(values, most, kind, caption) {
  const svg = shape('svg', { viewBox: `0 0 ${values.length * 10} ${HEIGHT + 2}`, role: 'img', 'aria-label': `${caption} ${values.join(', ')}` });
  svg.append(shape('line', { class: 'axis', x1: 0, x2: values.length * 10, y1: HEIGHT + 1, y2: HEIGHT + 1 }));
  values.forEach((value, i) => {
    const height = (value / most) * HEIGHT;
    svg.append(shape('rect', { class: kind, x: i * 10 + 1, y: HEIGHT - height, width: 8, height }));
  });
  const figure = document.createElement('figure');
  figure.append(element('figcaption', caption), svg);
  return figure;
}

/** A bar that lies: what was given as it is, and behind it what randomized answers are estimated to be. */
function lying(plain, all, most) {
  const svg = shape('svg', { viewBox: '0 0 100 6', preserveAspectRatio: 'none', 'aria-hidden': 'true' });
  const length = (value) => Math.max(0, (value / most) * 100);
  svg.append(shape('rect', { class: 'randomized', x: 0, y: 0, width: length(all), height: 6 }));
  svg.append(shape('rect', { class: 'plain', x: 0, y: 0, width: length(Math.min(plain, Math.max(all, plain))), height: 6 }));
  return svg;
}

/** The rows of the table of counts. */
export function countRows(options, { as_given: plain, randomized, estimate }) {
  const most = Math.max(1, ...estimate, ...plain);
  return options.map((option, i) => {
    const row = document.createElement('tr');
    const head = element('th', option, { scope: 'row' });
    head.append(lying(plain[i], estimate[i], most));
    row.append(head, ...[plain[i], randomized[i], estimate[i].toFixed(1)].map((each) => element('td', String(each))));
    return row;
  });
}
