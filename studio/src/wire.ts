// What the API sends and takes, under the names that the pages use. The types are those of the TypeScript client, which
// are made from docs/openapi.json; nothing of it but types comes along.
import type * as api from "../../clients/typescript/src/types";

export const FEATURES = ["text-image", "frames", "reference", "edit-video"] as const satisfies api.Input["feature"][];
export const EVENTS = [
  "task.created",
  "task.started",
  "task.completed",
  "task.failed",
  "task.canceled",
] as const satisfies api.EndpointView["events"];

export type Feature = api.Input["feature"];
export type AspectRatio = NonNullable<api.Input["aspect_ratio"]>;
export type Resolution = api.Input["resolution"];
export type State = api.QueueState;

export const ENDED: ReadonlySet<State> = new Set<State>(["COMPLETED", "FAILED", "CANCELED"]);
export const PROMPT_MAX = 5000;
export const NEGATIVE_PROMPT_MAX = 500;

/** A generation, without the links: the pages know the way. */
export type Generation = Omit<api.GenerationView, "urls">;
/** One event of a stream: a generation without what does not change. */
export type Event = api.EventData;
export type { CreatedGeneration, Input, Usage, VideoFile, FieldError, ErrorBody } from "../../clients/typescript/src/types";

export interface Page<T> {
  data: T[];
  has_more: boolean;
  next_cursor: string | null;
}

export type Credits = api.CreditsView;
export type Entry = api.EntryView;
export type Quote = api.QuoteView;
export type Limits = api.FeatureView;
export type Model = api.ModelView;

export type Key = api.KeyView;
export type Scope = Key["scope"];

export type Endpoint = api.EndpointView;
export type WebhookEvent = Endpoint["events"][number];
export type Delivery = api.DeliveryView;
export type Try = api.TryView;
