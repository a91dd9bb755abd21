// Webhooks, checked before they are believed. Their form is Standard Webhooks 1.0.
import { SignatureError } from "./errors.js";

/** Seconds by which the clocks of sender and receiver, and the way between them, may differ. */
export const TOLERANCE_S = 300;

export interface VerifyOptions {
  /** Seconds since the webhook was sent, at most. */
  toleranceS?: number;
  /** Seconds since 1970; the present where it is not given. */
  nowS?: number;
}

/**
 * The event that a webhook carries, if one of the secrets signed it a short while ago.
 *
 * `body` is the request's body as it came, before anything has parsed it. `secrets` are those of the endpoint
 * (`whsec_…`): two while one replaces the other.
 *
 * @throws {SignatureError}
 */
export async function verifyWebhook(
  body: string | Uint8Array,
  headers: Headers | Record<string, string | string[] | undefined>,
  secrets: string | string[],
  { toleranceS = TOLERANCE_S, nowS = Date.now() / 1000 }: VerifyOptions = {},
): Promise<Record<string, unknown>> {
  const header = (name: string): string => {
    if (headers instanceof Headers) return headers.get(name) ?? "";
    const found = Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1];
    return (Array.isArray(found) ? found.join(" ") : found) ?? "";
  };
  const id = header("webhook-id");
  const sent = header("webhook-timestamp");
  if (!id || !/^[0-9]+$/.test(sent)) {
    throw new SignatureError("the headers webhook-id and webhook-timestamp are missing or malformed");
  }
  if (Math.abs(nowS - Number(sent)) > toleranceS) {
    throw new SignatureError(`the webhook was not sent within ${toleranceS} s of now`);
  }
  const text = typeof body === "string" ? body : new TextDecoder().decode(body);
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const head = new TextEncoder().encode(`${id}.${sent}.`);
  const signed = new Uint8Array(head.length + bytes.length);
  signed.set(head);
  signed.set(bytes, head.length);

  const given = header("webhook-signature")
    .split(" ")
    .filter((entry) => entry.startsWith("v1,"))
    .map((entry) => decode(entry.slice(3)));
  for (const secret of Array.isArray(secrets) ? secrets : [secrets]) {
    const raw = decode(secret.replace(/^whsec_/, ""));
    if (!raw || raw.length === 0) throw new TypeError("a webhook's secret is whsec_ and base64 behind it");
    const key = await crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
    for (const signature of given) {
      // Compared in constant time.
      if (signature && (await crypto.subtle.verify("HMAC", key, signature, signed))) return JSON.parse(text);
    }
  }
  throw new SignatureError("no signature of the webhook is by one of the secrets");
}

function decode(base64: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}
