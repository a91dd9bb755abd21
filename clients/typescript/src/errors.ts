// What can go wrong, as classes that tell what to do about it.
import type { FieldError, GenerationView } from "./types.js";

/** The base of everything that this package throws. */
export class KinoraError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The server could not be asked, or its answer broke off. */
export class ConnectionFailed extends KinoraError {}

/** The generation had not ended within the time that was given. It goes on. */
export class WaitTimeout extends KinoraError {
  constructor(
    readonly generationId: string,
    timeoutMs: number,
  ) {
    super(`generation ${generationId} had not ended after ${timeoutMs} ms; it goes on`);
  }
}

/** A webhook is not from the server, is too old, or was changed on its way. */
export class SignatureError extends KinoraError {}

/** What the server said when it refused a request. */
export interface Refusal {
  /** The HTTP status. */
  status: number;
  /** What to branch on. */
  code: string;
  message: string;
  /** Every member at fault, where members are. */
  errors: FieldError[];
  /** By which the request is found in the server's log. */
  requestId: string | null;
  /** Seconds after which another try may help. */
  retryAfter: number | null;
}

/** The server refused a request. */
export class ApiError extends KinoraError {
  readonly status: number;
  readonly code: string;
  readonly errors: FieldError[];
  readonly requestId: string | null;
  readonly retryAfter: number | null;

  constructor({ status, code, message, errors, requestId, retryAfter }: Refusal) {
    super(message);
    this.status = status;
    this.code = code;
    this.errors = errors;
    this.requestId = requestId;
    this.retryAfter = retryAfter;
  }
}

/** 400, 413, 415, 422: the request is not taken as it is. */
export class InvalidInputError extends ApiError {}
/** 401: no key, or one that is unknown or revoked. */
export class AuthenticationError extends ApiError {}
/** 402: the balance does not cover the price. */
export class InsufficientCreditsError extends ApiError {}
/** 403: the key may not do this. */
export class ForbiddenError extends ApiError {}
/** 404: no such thing. */
export class NotFoundError extends ApiError {}
/** 409: not in this state. */
export class ConflictError extends ApiError {}
/** 410: the media were removed. */
export class GoneError extends ApiError {}
/** 429: too many requests, or too many generations queued. */
export class RateLimitError extends ApiError {}
/** 5xx: the server's trouble; another try may help. */
export class ServerError extends ApiError {}

/** The generation ended without a result. */
export class GenerationFailed extends KinoraError {
  /** What to branch on; empty where it was canceled. */
  readonly code: string;

  constructor(readonly generation: GenerationView) {
    const why = generation.message ?? "It was canceled.";
    super(`generation ${generation.id} ${generation.status.toLowerCase()}: ${why}`);
    this.code = generation.code ?? "";
  }
}

/** The generation was ended by a client. */
export class GenerationCanceled extends GenerationFailed {}

/** The error of a status. */
export function apiError(refusal: Refusal): ApiError {
  const { status } = refusal;
  if (status >= 500) return new ServerError(refusal);
  switch (status) {
    case 400:
    case 413:
    case 415:
    case 422:
      return new InvalidInputError(refusal);
    case 401:
      return new AuthenticationError(refusal);
    case 402:
      return new InsufficientCreditsError(refusal);
    case 403:
      return new ForbiddenError(refusal);
    case 404:
      return new NotFoundError(refusal);
    case 409:
      return new ConflictError(refusal);
    case 410:
      return new GoneError(refusal);
    case 429:
      return new RateLimitError(refusal);
    default:
      return new ApiError(refusal);
  }
}
