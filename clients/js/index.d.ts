/** An id of a client: an unsigned integer below 2^64. */
export type ClientId = bigint;

export type ThreatModel = 'semi-honest' | 'active';
export type Topology = 'complete' | 'sparse' | 'chosen';

/** Phases of a client (specification, §7.1). */
export type Phase =
  | 'ADVERTISE_KEYS' | 'SHARE_KEYS' | 'MASKED_INPUT' | 'DISCLOSURE' | 'CONSISTENCY_CHECK' | 'UNMASKING'
  | 'COMPLETED' | 'ABORTED';

/** Real numbers, quantized within [-clip, clip]; whatever is beyond is clipped. */
export interface FixedPointVector {
  readonly kind: 'FixedPoint';
  readonly shape: readonly bigint[];
  readonly clip: number;
  readonly bits: bigint;
  readonly rounding: 'stochastic' | 'nearest';
  readonly aggregate: 'sum' | 'mean';
}

/** Integers within [low, high]; whatever is beyond is clipped. */
export interface IntegersVector {
  readonly kind: 'Integers';
  readonly shape: readonly bigint[];
  readonly low: bigint;
  readonly high: bigint;
}

export type Vector = FixedPointVector | IntegersVector;

/**
 * A vector of reals: 16 bits, stochastic rounding and 'sum' unless given, as in the Python library.
 * @throws {LocalError} what no session has
 */
export function fixedPoint(given: {
  shape: readonly (number | bigint)[];
  clip: number;
  bits?: number;
  rounding?: 'stochastic' | 'nearest';
  aggregate?: 'sum' | 'mean';
}): FixedPointVector;

/**
 * A vector of integers.
 * @throws {LocalError} what no session has
 */
export function integers(given: {
  shape: readonly (number | bigint)[];
  low: number | bigint;
  high: number | bigint;
}): IntegersVector;

/** What a client accepts. An offer that is anything else is refused before a key is made. */
export interface PolicySettings {
  /** The only model that is accepted. */
  threatModel: ThreatModel;
  /** Smallest and largest cohort: 3 and 2^17 unless given. */
  minimumCohort?: bigint;
  maximumCohort?: bigint;
  /** Smallest threshold: 2 unless given. */
  minimumThreshold?: bigint;
  /** Fewest clients whose sum may be released: 2 unless given. */
  minimumContributors?: bigint;
  /** Fraction of the cohort that may collude with the server: 0.1 in the active model and 0 in the other, unless given. */
  maxCorrupt?: number;
  /** How many clients may be corrupt in whatever cohort the server picks; counts where it is more than `maxCorrupt`. */
  maxCorruptClients?: bigint;
  /** Fraction of the cohort that may drop out: 0.1 unless given. */
  maxDropout?: number;
  /** How surely graphs resist: 40 bits unless given, 64 where 'chosen' is accepted. */
  securityBits?: number;
  /** Accepted graphs: complete and sparse unless given. */
  topologies?: readonly Topology[];
  /** Accepted suites: 0x0001 and 0x0101 unless given; there are no others here. */
  suites?: readonly number[];
  /** Largest session vector, in words of 64 bits: 2^27 unless given. */
  maximumWords?: bigint;
  /** The application's bytes that the offer must carry; any unless given. */
  context?: Uint8Array;
  /** Exactly these vectors by name; any unless given. Bounds that a server chooses decide what is summed. */
  vectors?: Readonly<Record<string, Vector>>;
  /** Exactly this largest weight; any unless given. */
  maxWeight?: bigint;
}

declare const policy: unique symbol;
/** Made by `clientPolicy`. */
export interface Policy {
  readonly [policy]: true;
}

/** @throws {LocalError} a value of another kind, a name that a policy does not have, or no threat model */
export function clientPolicy(given: PolicySettings): Policy;

/**
 * Which answer a client gave in each phase of each session. What is entered must survive whatever the session survives:
 * an answer leaves only once `enter` is done.
 */
export interface Ledger {
  /**
   * Enters an answer, and with it a snapshot of the session that gave it, in one step.
   * @throws {SessionEnd} A12: another answer was given in this phase
   */
  enter(session: Uint8Array, client: ClientId, phase: string, answer: Uint8Array, snapshot: () => Uint8Array): Promise<void>;
  /**
   * Enters a session behind the others of its input.
   * @throws {LocalError} shares were revealed in more sessions of this input than may be
   */
  enterSession(input: string, client: ClientId, session: Uint8Array, repeatedSums: number): Promise<void>;
  /**
   * Lets an input or its shares leave, before they do.
   * @throws {SessionEnd} A10: a later session of the same input was entered
   */
  letLeave(input: string, client: ClientId, session: Uint8Array, reveals: boolean): Promise<void>;
  /** Whether the client has answered in a phase of a session: `takePart` asks, in a session that is over. */
  answered?(session: Uint8Array, client: ClientId, phase: string): Promise<boolean>;
  /** The last snapshot of a session, by its digest: `takePart` goes on from it. */
  snapshotOf?(session: Uint8Array): Promise<Uint8Array | undefined>;
  /** Removes the snapshot of a session that is over. */
  forget?(session: Uint8Array): Promise<void>;
}

/** A ledger that ends with the page or process. */
export class MemoryLedger implements Ledger {
  enter(session: Uint8Array, client: ClientId, phase: string, answer: Uint8Array, snapshot?: () => Uint8Array): Promise<void>;
  enterSession(input: string, client: ClientId, session: Uint8Array, repeatedSums: number): Promise<void>;
  letLeave(input: string, client: ClientId, session: Uint8Array, reveals: boolean): Promise<void>;
  answered(session: Uint8Array, client: ClientId, phase: string): Promise<boolean>;
}

/**
 * A ledger in IndexedDB, with the snapshot of each session: what is entered is on the disk before an answer leaves. Of a
 * site's pages and workers, one at a time has it for a client.
 */
export class IndexedDbLedger implements Ledger {
  private constructor();
  /**
   * Opens the ledger of a client, and makes it where there is none.
   * @param name of the database: 'secagg' unless given
   * @throws {LocalError} another tab has it
   */
  static open(client: ClientId, name?: string): Promise<IndexedDbLedger>;
  enter(session: Uint8Array, client: ClientId, phase: string, answer: Uint8Array, snapshot: () => Uint8Array): Promise<void>;
  enterSession(input: string, client: ClientId, session: Uint8Array, repeatedSums: number): Promise<void>;
  letLeave(input: string, client: ClientId, session: Uint8Array, reveals: boolean): Promise<void>;
  answered(session: Uint8Array, client: ClientId, phase: string): Promise<boolean>;
  /** The last snapshot of a session, by its digest. It holds secrets. */
  snapshotOf(session: Uint8Array): Promise<Uint8Array | undefined>;
  /** Removes the snapshot of a session; what was answered stays entered. */
  forget(session: Uint8Array): Promise<void>;
  /** Removes all snapshots of this client, which leaves for good; what was answered stays entered. */
  forgetAll(): Promise<void>;
  /** Lets go of the client, for another tab. */
  close(): void;
}

/** What a client has beside the offer. */
export interface Host {
  /** 32 bytes that this client alone has; needed in the active model. */
  identityKey?: Uint8Array;
  /** The verification keys of all clients, from your directory and never from the server; needed in the active model. */
  roster?: ReadonlyMap<ClientId, Uint8Array>;
  /** Needed for snapshots, inputs of several sessions, and graphs that clients choose. */
  ledger?: Ledger;
  /** Name of the input, where several sessions are given one. */
  input?: string;
  /** In how many of these shares may be revealed after the first: none unless given. */
  repeatedSums?: number;
}

/** How the masking of one message is watched and interrupted. */
export interface Work {
  /** Interrupts; the message can be handled again. */
  signal?: AbortSignal;
  /** Words of the session vector that are masked, and all of them. */
  onProgress?: (done: number, total: number) => void;
}

/** One client in one session: bytes in, bytes out. */
export class ClientSession {
  private constructor();

  /**
   * Judges an offer by the policy, and accepts it.
   * @throws {DecodeError} the offer is no offer
   * @throws {Violation} the offer breaks a rule, or is not what the policy accepts
   * @throws {LocalError} key or roster are not those of this client, or a ledger is needed
   */
  static accept(offer: Uint8Array, client: ClientId, policy: Policy, host?: Host): Promise<ClientSession>;

  /**
   * Goes on from a snapshot.
   * @throws {LocalError} it is damaged, key or roster do not fit it, or there is no ledger
   */
  static resume(snapshot: Uint8Array, host: Host & { ledger: Ledger }): ClientSession;

  readonly client: ClientId;
  readonly phase: Phase;
  /** The id of the reason of an aborted session, such as "A07"; '' otherwise. */
  readonly abortReason: string;
  /** What the server should be told of an aborted session, if anything. */
  readonly notice: Uint8Array | undefined;

  /**
   * Sets the input, or another one as long as nothing was masked. No value is refused: those beyond bounds are clipped, and
   * NaN counts as 0.
   * @param values by name of the vector, row by row: reals for FixedPoint, BigInt64Array for Integers
   * @param weight 1n unless given; limited to the session's largest
   * @throws {LocalError} other names, lengths or kinds, a weight that is no bigint, or it is too late
   */
  setInput(
    values: Readonly<Record<string, Float64Array | Float32Array | BigInt64Array>>
      | ReadonlyMap<string, Float64Array | Float32Array | BigInt64Array>,
    weight?: bigint,
  ): void;

  /**
   * Handles a message of the server, one at a time. The answer is in the ledger before it is returned; the same message
   * gets the same answer again.
   * @returns the answer; undefined when the server ended the session
   * @throws {DecodeError | Violation | SessionEnd} the session has ended: `notice` says what to tell the server
   * @throws {Interrupted} the signal was given; nothing has changed
   * @throws {LocalError} nothing has changed
   */
  receive(message: Uint8Array, work?: Work): Promise<Uint8Array | undefined>;

  /** Ends the session. @throws {LocalError} it has ended */
  endSession(): void;

  /**
   * Freezes the session, which ends here and goes on with `resume`. It holds secrets.
   * @throws {LocalError} it has ended, has no ledger, or handles a message
   */
  snapshot(): Uint8Array;
}

/** What a session in a worker is opened with. */
export interface WorkerInvitation extends Omit<Host, 'ledger'> {
  offer: Uint8Array;
  client: ClientId;
  policy: Policy;
  /** Name of the database: 'secagg' unless given. */
  database?: string;
}

/**
 * One client in one session, in a worker that runs `secagg-client/worker`: the page stays responsive, and a page that is
 * loaded again goes on where it stood.
 */
export class WorkerSession {
  private constructor();
  /**
   * Goes on where this client stood in the session, or accepts the offer.
   * @throws {LocalError} another tab goes on with sessions of this client
   * @throws what `ClientSession.accept` and `ClientSession.resume` throw
   */
  static open(worker: Worker, given: WorkerInvitation): Promise<WorkerSession>;
  readonly phase: Phase;
  readonly abortReason: string;
  readonly notice: Uint8Array | undefined;
  /** As that of `ClientSession`. An input is kept with the next answer; set it again after a page was loaded again before. */
  setInput(
    values: Readonly<Record<string, Float64Array | Float32Array | BigInt64Array>>
      | ReadonlyMap<string, Float64Array | Float32Array | BigInt64Array>,
    weight?: bigint,
  ): Promise<void>;
  /** As that of `ClientSession`. */
  receive(message: Uint8Array, work?: Work): Promise<Uint8Array | undefined>;
  endSession(): Promise<void>;
  /** Whether this client has answered in a phase of this session, in this page or in an earlier one. */
  answered(phase: Phase): Promise<boolean>;
  /** Removes what is kept of the session, with the secrets in it. */
  forget(): Promise<void>;
  /** Ends the worker. What was answered is kept, and `open` goes on from there. */
  close(): Promise<void>;
}

/** When a call that failed is made again: waits are drawn evenly from 0 to a bound that doubles. */
export interface Retry {
  /** Bound of the first wait: 0.2 unless given. */
  firstSeconds?: number;
  /** Bound of all waits: 10 unless given. */
  longestSeconds?: number;
  /**
   * How long a call may go without success, all its repeats together, but for its first attempt, in which it may wait for
   * news or the device may sleep, and the time in which this device is offline: 300 unless given.
   */
  giveUpSeconds?: number;
}

/** What a client over HTTP does, as it happens. */
export interface Step {
  /** Name of the session; '' for `attend`. */
  session: string;
  /** Of which round it is; '' before the offer is accepted, 'COMPLETED' while only the end is waited for. */
  round: Phase | '';
  /**
   * 'joined': the offer was accepted, or the client goes on where it stood (`resumed`). Of each round 'waiting' for the
   * server's request, 'working' on the answer, 'sending' it (`sent` of `bytes`), and 'done' once the server has it. In
   * between 'retrying' in so many `seconds`, and 'offline' until this device is not, each with the reason in `message`.
   */
  state: 'joined' | 'waiting' | 'working' | 'sending' | 'done' | 'retrying' | 'offline';
  resumed?: boolean;
  sent?: number;
  bytes?: number;
  /** What became of the answer: 'repeated' where the server had it, 'late' where the round was closed. */
  outcome?: 'accepted' | 'repeated' | 'late';
  seconds?: number;
  message?: string;
}

/** What a client takes part with, over HTTP; one of `worker` and `ledger`. */
export interface Taking {
  client: ClientId;
  /** 32 bytes; signs the logins, and messages in the active model. Left out where the server takes anonymous clients. */
  identityKey?: Uint8Array;
  /** As that of `Host`. */
  roster?: ReadonlyMap<ClientId, Uint8Array>;
  policy: Policy;
  /** Makes a worker of `secagg-client/worker`, one for each session: in browsers. */
  worker?: () => Worker;
  /** Name of the worker's database: 'secagg' unless given. */
  database?: string;
  /** Keeps what was answered: in Node. With a `MemoryLedger` a process that ends is out of its session. */
  ledger?: Ledger;
  /** As `ClientSession.setInput` takes it. */
  input?: Readonly<Record<string, Float64Array | Float32Array | BigInt64Array>>
    | ReadonlyMap<string, Float64Array | Float32Array | BigInt64Array>;
  weight?: bigint;
  /** Stops, at any point. To the others this client has dropped out, or goes on later from what is kept. */
  signal?: AbortSignal;
  retry?: Retry;
  onStep?: (step: Step) => void;
  /** Words that are masked, and all of them. */
  onProgress?: (done: number, total: number) => void;
  /** Given each message that was accepted, and each answer before it leaves, as bytes: for pages that show their work. */
  onMessage?: (kind: 'offer' | 'request' | 'answer', message: Uint8Array) => void;
}

/** A session of which every round was closed with this client. Whether there is a sum is for the operator to know. */
export interface Participation {
  state: 'COMPLETED';
  /** Perhaps one that followed the one it was asked for: the same without clients who made that one end. */
  session: string;
  client: ClientId;
  /** The rounds that were answered, or answered again, in order. */
  answered: Phase[];
}

/**
 * Takes part in one session of a server over HTTP: logs in, answers every request, and is done when the session has
 * completed. Whatever breaks in between is tried again; called again, also after a page was loaded again, it goes on where
 * the client stood, if worker or ledger keep snapshots, and answers no round twice.
 * @param server https://host, with a port and a path where there are any; http:// on this machine only
 * @throws {LocalError} an argument that does not fit, or another tab goes on with this client
 * @throws {DecodeError | Violation} the offer or a message is not what the policy or the protocol allows: the server has
 *   been told, and the session is over for this client
 * @throws {SessionEnd} A12: another process of this client answered, or it did before, and no snapshot was kept
 * @throws {DroppedError} the server goes on without this client, or the session has no input of it
 * @throws {SessionAbortedError} the session ended without a sum
 * @throws {UnreachableError} trying again did not help: call again later
 * @throws {ServiceError} the server refused a call for good
 * @throws the reason of `signal`
 */
export function takePart(server: string, given: Taking & { session: string; input: Taking['input'] & {} }): Promise<Participation>;

/** A session that the server says is open to this client. */
export interface OpenSession {
  session: string;
  /** As the function `takePart`, with what `attend` was given unless given here. */
  takePart(given?: Partial<Taking>): Promise<Participation>;
}

/**
 * Waits for sessions as a member of the server's roster, and gives each one that is open to this client, for ever: a client
 * that stays. What the server says here is names; each session is held against the policy.
 * @throws {LocalError | UnreachableError | ServiceError} and the reason of `signal`
 */
export function attend(server: string, given: Taking): AsyncGenerator<OpenSession, never, void>;

/** How an invitation is redeemed. */
export interface Redeeming {
  /** 32 bytes, the same each time. Unless given, this browser draws one, and keeps it in IndexedDB. */
  identityKey?: Uint8Array;
  /** Name of the database of keys: 'secagg' unless given. */
  database?: string;
  /** Stops; called again with the same key, the client goes on. */
  signal?: AbortSignal;
  retry?: Retry;
  /** 'claimed' each time that the claim is kept and the roster is not signed yet; 'retrying' and 'offline' as for `takePart`. */
  onStep?: (step: Omit<Step, 'state'> & { state: 'claimed' | 'retrying' | 'offline' }) => void;
}

/** What a client takes part with that came by a link; `takePart(server, { ...it, policy, … })`. */
export interface Enrolled {
  server: string;
  session: string;
  client: ClientId;
  identityKey: Uint8Array;
  roster: Map<ClientId, Uint8Array>;
}

/** The invitation in a link of `secagg invite`: for one client, once, and a secret until then. */
export class Invitation {
  private constructor();
  /**
   * @param link all of it: in a page `location.href`
   * @throws {LocalError} there is no invitation in it, or one that is cut short or changed
   */
  static parse(link: string): Invitation;
  readonly server: string;
  readonly session: string;
  readonly client: ClientId;
  /** The public key under which the roster must be signed. */
  readonly authority: Uint8Array;
  /** This client's key, drawn by this browser the first time and kept in IndexedDB. */
  identityKey(database?: string): Promise<Uint8Array>;
  /**
   * Claims this client's place, or asks what became of it: the same key again changes nothing.
   * @returns the roster once it is signed, verified under `authority` and with this client's key in it
   * @throws {ServiceError} `refusal` is NOT_INVITED, SIGNATURE_INVALID, INVITATION_USED or ENROLMENT_CLOSED; or the roster is
   *   not to be used
   * @throws {LocalError | UnreachableError} and the reason of `signal`
   */
  claim(how?: Redeeming): Promise<Map<ClientId, Uint8Array> | undefined>;
  /**
   * Claims this client's place, and waits until the roster is signed, which may take days; a page that is loaded again calls
   * this again. Asks every `pollSeconds`, 5 unless given.
   * @throws what `claim` throws
   */
  waitForRoster(how?: Redeeming & { pollSeconds?: number }): Promise<Enrolled>;
}

/**
 * The keys of a roster, the file of `secagg enroll`, by client id.
 * @param authority the 32-byte public key of the authority, from elsewhere than the roster
 * @param at now unless given
 * @throws {LocalError} another authority's, changed, expired or no roster
 */
export function verifyRoster(content: Uint8Array | string, authority: Uint8Array, at?: Date): Map<ClientId, Uint8Array>;

/** A server cannot be used, or refused a call for good. What was answered is kept. */
export class ServiceError extends Error {
  constructor(message: string, refusal?: string);
  /** Its reason, such as "NOT_IN_COHORT" (docs/http.md); '' where no server of this service gave one. */
  readonly refusal: string;
}

/** Trying again did not help for as long as `retry` allows. */
export class UnreachableError extends ServiceError {}

/** The session ended without a sum. */
export class SessionAbortedError extends Error {
  constructor(message: string, rule?: string, successor?: string);
  /** The id of the reason, such as "A03"; '' where the server does not say. */
  readonly rule: string;
  /** The session that follows it, which this client cannot go on in; '' where none does. */
  readonly successor: string;
}

/** The server goes on without this client, or the session has no input of it. */
export class DroppedError extends SessionAbortedError {}

/** A new identity key: 32 bytes. */
export function generateIdentityKey(): Uint8Array;

/** What the others' rosters have for an identity key: 32 bytes. @throws {LocalError} it is no identity key */
export function verificationKey(identityKey: Uint8Array): Uint8Array;

/** Bytes that are no message of this protocol. */
export class DecodeError extends Error {}

/** A mistake of the application, or what cannot be now. Nothing has changed. */
export class LocalError extends Error {}

/** The application interrupted the work on a message. */
export class Interrupted extends LocalError {}

/** A message or an offer breaks a rule of the specification. */
export class Violation extends Error {
  private constructor();
  /** Its id, such as "C33", of section 8 of the specification; `message` says more where an offer is refused. */
  readonly rule: string;
}

/** A session ends for a reason that is nobody's message. */
export class SessionEnd extends Error {
  constructor(rule: string);
  /** Its id, such as "A12". */
  readonly rule: string;
}
