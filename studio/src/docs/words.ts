// What the document has no place for: the codes of errors, and what the states mean.
export const STATES: [string, string, string][] = [
  ["IN_QUEUE", "starting", "Accepted, and its price is held. It waits for an engine."],
  ["IN_PROGRESS", "processing", "An engine works on it. `progress` and `stage` say how far it is."],
  ["COMPLETED", "succeeded", "`data` has the video. The price is charged."],
  ["FAILED", "failed", "`code` and `message` say why. The price is given back."],
  ["CANCELED", "canceled", "Ended by its owner. The price is given back."],
];

export const ERRORS: [number, string, string][] = [
  [400, "VIDEO_GENERATION_INVALID_INPUT", "The body cannot be read, or a member has the wrong type."],
  [400, "VIDEO_GENERATION_UNSUPPORTED_MODEL", "The model, or the workflow, is not offered by this server."],
  [401, "UNAUTHORIZED", "No key, or one that is unknown or revoked."],
  [402, "VIDEO_GENERATION_INSUFFICIENT_CREDITS", "The balance does not cover the price. Nothing was queued."],
  [403, "FORBIDDEN", "The key, or the signature of a URL, does not allow this."],
  [404, "NOT_FOUND", "An unknown path or id."],
  [405, "METHOD_NOT_ALLOWED", "The path exists, the method does not. `Allow` names those that do."],
  [409, "IDEMPOTENCY_IN_FLIGHT", "The first request under this key is not answered yet. Try again in a second."],
  [409, "GENERATION_ALREADY_FINISHED", "What has ended cannot be canceled."],
  [409, "GENERATION_NOT_FINISHED", "What still runs cannot be deleted: cancel it first."],
  [410, "MEDIA_REMOVED", "The file was deleted, or its retention has ended."],
  [413, "PAYLOAD_TOO_LARGE", "The body, or one of its parts, is too large."],
  [415, "UNSUPPORTED_MEDIA_TYPE", "Send JSON or `multipart/form-data`."],
  [422, "VIDEO_GENERATION_INVALID_INPUT", "A value is not taken. `errors` names every member at fault."],
  [422, "VIDEO_GENERATION_CONTENT_REJECTED", "The content was refused."],
  [422, "IDEMPOTENCY_KEY_REUSED", "The key was used for another request within the last 24 hours."],
  [429, "VIDEO_GENERATION_RATE_LIMITED", "Too many requests, or too many generations queued. `Retry-After` says when to come back."],
  [500, "INTERNAL_ERROR", "A fault of the server."],
  [502, "VIDEO_GENERATION_FAILED", "The engine failed."],
  [503, "VIDEO_GENERATION_PROVIDER_UNAVAILABLE", "No engine is there, or the server is starting or shutting down."],
  [504, "VIDEO_GENERATION_TIMEOUT", "It did not finish within its deadline."],
];
