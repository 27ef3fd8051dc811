/**
 * The calls and replies of conformance.proto.
 */
import { oneOf, optional, repeated, single } from '../protobuf.js';

const Drop = [single(1, 'client', 'fixed64'), single(2, 'rule', 'string')];
const OffPolynomial = [single(1, 'holder', 'fixed64'), single(2, 'owner', 'fixed64'), single(3, 'rule', 'string')];
const ClientMessage = [single(1, 'client', 'fixed64'), single(2, 'message', 'bytes')];
const RosterEntry = [single(1, 'client', 'fixed64'), single(2, 'verificationKey', 'bytes')];
const Values = [single(1, 'name', 'string'), repeated(2, 'reals', 'double'), repeated(3, 'integers', 'sint64')];

const Policy = [
  single(1, 'threatModel', 'string'),
  single(2, 'corruptFraction', 'double'),
  single(3, 'smallestCohort', 'uint64'),
  single(4, 'largestCohort', 'uint64'),
  single(5, 'smallestThreshold', 'uint64'),
  single(6, 'smallestMinimumContributors', 'uint64'),
  repeated(7, 'suites', 'uint32'),
  optional(8, 'context', 'bytes'),
  single(9, 'largestVector', 'uint64'),
  single(10, 'securityBits', 'uint32'),
  repeated(11, 'vectors', 'bytes'),
  single(12, 'maxWeight', 'uint64'),
  single(13, 'dropoutFraction', 'double'),
  repeated(14, 'topologies', 'string'),
];

const CreateClient = [
  single(1, 'offer', 'bytes'),
  single(2, 'client', 'fixed64'),
  optional(3, 'identityKey', 'bytes'),
  repeated(4, 'roster', RosterEntry),
  single(5, 'policy', Policy),
  optional(6, 'tape', 'bytes'),
  single(7, 'ledger', 'string'),
  single(8, 'input', 'string'),
  single(9, 'repeatedSums', 'uint32'),
];

const CreateServer = [single(1, 'parameters', 'bytes'), repeated(2, 'roster', RosterEntry)];

const Step = [
  single(1, 'handle', 'uint64'),
  oneOf(2, 'setInput', [repeated(1, 'vectors', Values), single(2, 'weight', 'uint64')]),
  oneOf(3, 'message', 'bytes'),
  oneOf(4, 'clientMessage', ClientMessage),
  oneOf(5, 'closeRound', []),
  oneOf(6, 'endSession', []),
];

const Restore = [
  single(1, 'snapshot', 'bytes'),
  single(2, 'server', 'bool'),
  optional(3, 'identityKey', 'bytes'),
  repeated(4, 'roster', RosterEntry),
  optional(5, 'tape', 'bytes'),
  single(6, 'ledger', 'string'),
];

/** What a runner asks. */
export const Call = [
  oneOf(1, 'describe', []),
  oneOf(2, 'createClient', CreateClient),
  oneOf(3, 'createServer', CreateServer),
  oneOf(4, 'step', Step),
  oneOf(5, 'snapshot', [single(1, 'handle', 'uint64')]),
  oneOf(6, 'restore', Restore),
  oneOf(7, 'free', [single(1, 'handle', 'uint64')]),
  oneOf(8, 'primitive', [single(1, 'kind', 'string'), single(2, 'function', 'string'), single(3, 'input', 'string')]),
];

const Description = [
  single(1, 'name', 'string'),
  single(2, 'version', 'string'),
  single(3, 'client', 'bool'),
  single(4, 'server', 'bool'),
  repeated(5, 'suites', 'uint32'),
  single(6, 'clientSnapshots', 'bool'),
  single(7, 'serverSnapshots', 'bool'),
  repeated(8, 'primitives', 'string'),
];

const Result = [
  repeated(1, 'vectors', Values),
  repeated(2, 'contributors', 'fixed64'),
  optional(3, 'totalWeight', 'uint64'),
];

const Blame = [single(1, 'client', 'fixed64'), single(2, 'rule', 'string'), optional(3, 'evidence', 'bytes')];

const Outcome = [
  single(1, 'handle', 'uint64'),
  single(2, 'status', 'uint32'),
  single(3, 'rule', 'string'),
  single(4, 'phase', 'string'),
  single(5, 'abortReason', 'string'),
  optional(6, 'answer', 'bytes'),
  optional(7, 'notice', 'bytes'),
  optional(8, 'offer', 'bytes'),
  repeated(9, 'requests', ClientMessage),
  repeated(10, 'dropped', Drop),
  repeated(11, 'inconsistent', OffPolynomial),
  single(12, 'result', Result),
  repeated(13, 'blame', Blame),
];

/** What a testee replies. */
export const Reply = [
  oneOf(1, 'description', Description),
  oneOf(2, 'outcome', Outcome),
  oneOf(3, 'frozen', [single(1, 'snapshot', 'bytes')]),
  oneOf(4, 'freed', []),
  oneOf(5, 'unsupported', 'string'),
  oneOf(6, 'computed', [single(1, 'output', 'string'), repeated(2, 'refused', 'string')]),
];

/** The statuses of an outcome. */
export const STATUS = {
  ACCEPTED: 1,
  REFUSED: 2,
  DROPPED: 3,
  LATE: 4,
  REPEATED: 5,
  LOCAL_ERROR: 6,
  FAILED: 7,
};
