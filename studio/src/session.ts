// The key: where it is kept, and how the link of the first start turns into one.
//
// It stays in this browser, in the storage of this server's address: until "sign out" where the person wants to be
// remembered, until the tab is closed otherwise. It is sent to this server only, as the policy of the page enforces.
import { Cell } from "./cell";

const PLACE = "kinora-key";
export const UNKNOWN_KEY = "The server does not know this key, or it has been revoked.";

/** The API key of this visit; empty where nobody is signed in. */
export const key = new Cell(localStorage.getItem(PLACE) ?? sessionStorage.getItem(PLACE) ?? "");

/** Why the last visit ended, where nobody asked for that. */
export const ended = new Cell<string | null>(null);

export function signIn(secret: string, remember: boolean): void {
  ended.set(null);
  (remember ? localStorage : sessionStorage).setItem(PLACE, secret);
  key.set(secret);
}

export function signOut(why: string | null = null): void {
  ended.set(why);
  localStorage.removeItem(PLACE);
  sessionStorage.removeItem(PLACE);
  key.set("");
}

/** Whether the server takes this key. Says what went wrong, or nothing. */
export async function check(secret: string): Promise<string | null> {
  // What cannot stand in a header cannot be a key.
  if (!/^[!-~]+$/.test(secret)) return "A key has letters, digits and signs only, without spaces.";
  try {
    const answer = await fetch("/api/v1/credits", { headers: { authorization: `Bearer ${secret}` }, cache: "no-store" });
    if (answer.ok) return null;
    if (answer.status === 401) return UNKNOWN_KEY;
    return `The server answered ${answer.status}.`;
  } catch {
    return "The server cannot be reached. Is it still running?";
  }
}

/** Hands in the one-time code of a `#start=…` link. Says what went wrong, or nothing. */
export async function signInWithLink(): Promise<string | null> {
  const code = /^#start=([0-9a-f]+)$/.exec(location.hash)?.[1];
  if (code === undefined) return null;
  // Neither a reload nor the history shall come back to a used code.
  history.replaceState(null, "", location.pathname);
  try {
    const answer = await fetch("/studio/sign-in", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ code }),
    });
    const body = (await answer.json()) as { api_key?: string; message?: string };
    if (answer.ok && body.api_key !== undefined) {
      signIn(body.api_key, true);
      return null;
    }
    // A link that was followed twice by the same person has done its work.
    return key.value === "" ? (body.message ?? "The link could not be used.") : null;
  } catch {
    return "The server cannot be reached. Is it still running?";
  }
}
