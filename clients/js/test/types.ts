// What the declarations allow and refuse; each expected error is one for tsc when it is none.
import {
  ClientSession, Invitation, MemoryLedger, attend, clientPolicy, fixedPoint, integers, takePart, verifyRoster, type Ledger,
  type Step,
} from 'secagg-client';

const ledger: Ledger = new MemoryLedger();
const policy = clientPolicy({ threatModel: 'semi-honest', vectors: { counts: integers({ shape: [3], low: 0, high: 9 }) } });
const session = await ClientSession.accept(new Uint8Array(), 7n, policy, { ledger });
session.setInput({ counts: BigInt64Array.of(1n, 2n, 3n) });
const answer: Uint8Array | undefined = await session.receive(new Uint8Array(), { signal: new AbortController().signal });
ClientSession.resume(answer ?? session.snapshot(), { ledger });
const { server, ...enrolled } = await Invitation.parse('https://app.example.org/').waitForRoster({ pollSeconds: 60 });
await takePart(server, { ...enrolled, policy, ledger, input: { counts: new BigInt64Array(3) } });
const key: Uint8Array | undefined = verifyRoster(answer ?? '', new Uint8Array(32), new Date()).get(enrolled.client);

const input = { counts: BigInt64Array.of(1n, 2n, 3n) };
const worker = () => new Worker('worker.js');
const { state, answered } = await takePart('https://localhost', { session: 'round-7', client: 7n, policy, worker, input });
const said: string[] = [state, ...answered];
for await (const open of attend('https://localhost', { client: 7n, policy, ledger, onStep: ({ round }: Step) => said.push(round) })) {
  await open.takePart({ input });
}

// @ts-expect-error an invitation is read from a link
new Invitation();
// @ts-expect-error the key of an authority is bytes
verifyRoster('', key?.toString());
// @ts-expect-error a session is needed
await takePart('https://localhost', { client: 7n, policy, ledger, input });
// @ts-expect-error an input is needed
await takePart('https://localhost', { session: 'round-7', client: 7n, policy, ledger });
// @ts-expect-error a worker is made anew for each session
await takePart('https://localhost', { session: 'round-7', client: 7n, policy, worker: worker(), input });
// @ts-expect-error a threat model is needed
clientPolicy({});
// @ts-expect-error vectors have a clip
fixedPoint({ shape: [2] });
// @ts-expect-error ids are bigint
await ClientSession.accept(new Uint8Array(), 7, policy);
// @ts-expect-error a policy is made by clientPolicy
await ClientSession.accept(new Uint8Array(), 7n, { threatModel: 'active' });
// @ts-expect-error arrays of numbers have no kind
session.setInput({ counts: [1, 2, 3] });
// @ts-expect-error sessions go on with a ledger only
ClientSession.resume(new Uint8Array(), {});
