// The price of the draft, before it is sent. The server prices it: nothing is calculated here that it could say.
import { useEffect, useState } from "preact/hooks";
import { ApiError, call } from "./api";
import { EDIT_MODEL, bodyOf, mediaOf, missingIn, modelOf, scalarsOf, type Draft, type Medium, type Scalar } from "./draft";
import type { FieldError, Quote } from "./wire";

export type Price =
  | { is: "unknown" }
  | { is: "asked" }
  | { is: "known"; total: number; exact: boolean; rate: number; billed: number }
  | { is: "refused"; fields: FieldError[]; message: string };

/** Larger clips are not sent twice just for a price: the server then says what they cost at most. */
const SENT_FOR_A_PRICE_MAX = 8 << 20;
/** Stands for media that do not change the price. */
const SOMETHING: Medium = { kind: "url", url: "https://example.com/media" };

function priced(draft: Draft): { media: [string, Medium][]; scalars: [string, Scalar][]; n: number } {
  const media = mediaOf(draft).map(([field, medium]): [string, Medium] => {
    const counts = field === "video_url" || field === "video_refs";
    if (medium.kind === "url") return [field, medium];
    return [field, counts && medium.file.size <= SENT_FOR_A_PRICE_MAX ? medium : SOMETHING];
  });
  const narrow = modelOf(draft) === EDIT_MODEL;
  const own = new Set(["prompt", "negative_prompt", "feature", "n", "seed"]);
  const scalars = scalarsOf(draft).filter(([name]) => !own.has(name));
  scalars.unshift(["feature", draft.feature], ["prompt", "A video"]);
  return { media, scalars, n: narrow ? draft.n : 1 };
}

/** How long a draft has to stay as it is before its price is asked for. */
const PAUSE_MS = 250;

/** The last question, also while it waits for its turn. One at a time: clips go along, and are looked at each time. */
let answering: Promise<unknown> = Promise.resolve();

/** Waits until no price is asked for: nothing is sent before its price is known, and no file twice at once. */
export async function settled(): Promise<void> {
  for (let seen: Promise<unknown> | null = null; seen !== answering; ) {
    seen = answering;
    await seen;
  }
}

/** Asks again whenever something changes that a price can depend on. */
export function useQuote(draft: Draft, signedIn: boolean): Price {
  const [price, setPrice] = useState<Price>({ is: "unknown" });
  const lacking = missingIn(draft).some(({ field }) => field !== "prompt");
  const { media, scalars, n } = priced(draft);
  const marks = media.map(([field, medium]) => [field, medium.kind === "file" ? medium.preview : medium.url]);
  const question = lacking || !signedIn ? "" : JSON.stringify([scalars, marks, n]);

  useEffect(() => {
    if (question === "") {
      setPrice({ is: "unknown" });
      return;
    }
    let current = true;
    const tell = (price: Price) => current && setPrice(price);
    tell({ is: "asked" });
    let hurry = () => {};
    const pause = new Promise<void>((done) => {
      hurry = done;
      setTimeout(done, PAUSE_MS);
    });
    answering = Promise.all([answering, pause]).then(async () => {
      if (current) await ask(media, scalars, n).then(tell, (error: unknown) => tell(refusal(error)));
    });
    return () => {
      current = false;
      hurry();
    };
  }, [question]);
  return price;
}

async function ask(media: [string, Medium][], scalars: [string, Scalar][], n: number): Promise<Price> {
  const { usage, exact, sufficient, breakdown } = await call<Quote>("/generation/quote/wan/wan-v2.7-video", { body: bodyOf(media, scalars) });
  const { credits_per_second: rate, input_seconds, output_seconds } = breakdown;
  const billed = input_seconds + output_seconds;
  // Where the balance does not suffice, `usage` tells what is there, not what is asked.
  const total = sufficient ? usage.total : Math.ceil(rate * billed - 1e-6);
  return { is: "known", total: total * n, exact, rate, billed: billed * n };
}

function refusal(error: unknown): Price {
  const message = error instanceof Error ? error.message : String(error);
  return { is: "refused", fields: error instanceof ApiError ? error.fields : [], message };
}
