/** What statuses are in words. Knows no document. */

const ENDED = new Set(['completed', 'aborted', 'failed']);
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** Whether a session goes on no more. */
export const hasEnded = (status) => ENDED.has(status.state);

/** The open round, or what its end does. */
export function stateOf({ state, progress }) {
  if (!progress) return state.replaceAll('_', ' ');
  const percent = Math.floor((100 * Number(progress.done)) / Number(progress.whole));
  return `${progress.stage.replaceAll('_', ' ')}, ${percent} %`;
}

/** Seconds as a person counts them. */
export function durationOf(seconds) {
  const left = Math.max(0, Math.ceil(seconds));
  const parts = [[Math.floor(left / 86400), 'd'], [Math.floor(left / 3600) % 24, 'h'], [Math.floor(left / 60) % 60, 'min'], [left % 60, 's']];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return '0 s';
  return parts.slice(first, first + 2).map(([count, unit]) => `${count} ${unit}`).join(' ');
}

/** Bytes in binary units. */
export function bytesOf(count) {
  let [value, unit] = [Number(count), 0];
  while (value >= 1024 && unit < UNITS.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${unit && value < 10 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

/** A point in time, by the clock and in the manner of this browser; nothing for 0, which nobody noted. */
export const timeOf = (seconds) => (seconds ? new Date(seconds * 1000).toLocaleString() : '');

/** How many clients were dropped, for all reasons. */
export const droppedOf = (status) => status.dropped.reduce((sum, { clients }) => sum + Number(clients), 0);

/** An id of the specification, with its name. */
export const reasonOf = (id, reasons) => (Object.hasOwn(reasons, id) ? `${reasons[id]} (${id})` : id);

/** Whether there is a sum; nothing before the end. */
export function sumOf(status) {
  if (status.result_ready) return 'ready';
  if (status.state === 'completed') return 'gone: fetched, or expired';
  return hasEnded(status) ? 'none' : '';
}

/** Ascending ids, given as text, with neighbours drawn together: "1–3, 7". */
export function rangesOf(ids) {
  const ranges = [];
  for (const id of ids.map(BigInt)) {
    const last = ranges.at(-1);
    if (last && id === last[1] + 1n) last[1] = id;
    else ranges.push([id, id]);
  }
  return ranges.map(([low, high]) => (low === high ? `${low}` : `${low}–${high}`)).join(', ');
}
