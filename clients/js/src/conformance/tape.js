/** A tape in the place of randomness (conformance.md): fixed bytes, front to back. There is no security. */
export class Tape {
  constructor(data) {
    this.rest = data;
  }

  draw(count) {
    if (count > this.rest.length) throw new Error('the tape has ended');
    const drawn = this.rest.slice(0, count);
    this.rest = this.rest.slice(count);
    return drawn;
  }
}
