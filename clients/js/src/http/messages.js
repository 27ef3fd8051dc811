/**
 * The messages of service.proto that clients send and get, and the calls of docs/http.md by name.
 */
import { oneOf, repeated, single } from '../protobuf.js';

const ClientSubject = [single(1, 'session', 'string'), single(2, 'client', 'fixed64')];
const MemberSubject = [single(1, 'client', 'fixed64')];
const ChallengeRequest = [oneOf(1, 'client', ClientSubject), oneOf(3, 'member', MemberSubject)];
const ChallengeReply = [single(1, 'nonce', 'bytes')];

const NextRequestRequest = [single(1, 'seen', 'bytes'), single(2, 'waitMilliseconds', 'uint32')];
const Ended = [
  single(1, 'completed', 'bool'), single(2, 'reasonId', 'string'), single(3, 'reason', 'string'),
  single(4, 'successor', 'string'),
];
const Dropped = [single(1, 'reasonId', 'string'), single(2, 'reason', 'string')];
const NextRequestReply = [oneOf(1, 'request', 'bytes'), oneOf(2, 'ended', Ended), oneOf(3, 'dropped', Dropped)];

const LoginRequest = [
  single(1, 'nonce', 'bytes'), single(2, 'serverName', 'string'), single(3, 'signature', 'bytes'),
  single(4, 'next', NextRequestRequest),
];
const LoginReply = [single(1, 'token', 'bytes'), single(2, 'offer', 'bytes'), single(3, 'next', NextRequestReply)];
const GetOfferReply = [single(1, 'offer', 'bytes')];

const AnswerRequest = [single(1, 'answer', 'bytes'), single(2, 'next', NextRequestRequest)];
const AnswerReply = [single(1, 'outcome', 'uint32'), single(2, 'next', NextRequestReply)];
const UploadHeader = [
  single(1, 'totalBytes', 'uint64'), single(2, 'sha256', 'bytes'), single(3, 'next', NextRequestRequest),
];
const UploadReply = [oneOf(1, 'receivedBytes', 'uint64'), oneOf(2, 'answer', AnswerReply)];

const NextSessionRequest = [repeated(1, 'seen', 'string'), single(2, 'waitMilliseconds', 'uint32')];
const NextSessionReply = [repeated(1, 'sessions', 'string')];

const EnrolRequest = [
  single(1, 'session', 'string'), single(2, 'client', 'fixed64'), single(3, 'publicKey', 'bytes'),
  single(4, 'invitationSignature', 'bytes'), single(5, 'keySignature', 'bytes'),
];
const EnrolReply = [single(1, 'roster', 'bytes')];

/** Why a call failed. */
export const ErrorDetail = [
  single(1, 'reason', 'string'), single(2, 'retry', 'bool'), single(3, 'ruleId', 'string'), single(4, 'rule', 'string'),
  single(5, 'retryAfterSeconds', 'double'), single(6, 'message', 'string'),
];

/** What each call takes and returns; UploadPart takes bytes that are no message. */
export const CALLS = {
  Challenge: [ChallengeRequest, ChallengeReply],
  Login: [LoginRequest, LoginReply],
  Enrol: [EnrolRequest, EnrolReply],
  GetOffer: [[], GetOfferReply],
  NextRequest: [NextRequestRequest, NextRequestReply],
  Answer: [AnswerRequest, AnswerReply],
  BeginUpload: [UploadHeader, UploadReply],
  UploadPart: [undefined, UploadReply],
  NextSession: [NextSessionRequest, NextSessionReply],
};
