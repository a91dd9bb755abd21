// Made from docs/openapi.json by `cargo xtask clients`; not to be edited.

/** Method and path of each operation, the path relative to the API's base. */
export const OPERATIONS = {
  get_credits: ["GET", "/credits"],
  list_credit_entries: ["GET", "/credits/entries"],
  quote_generation: ["POST", "/generation/quote/wan/wan-v2.7-video"],
  stream_generation: ["POST", "/generation/sse/wan/wan-v2.7-video"],
  stream_edit: ["POST", "/generation/sse/wan/wan-v2.7/edit-video"],
  create_generation: ["POST", "/generation/wan/wan-v2.7-video"],
  create_edit: ["POST", "/generation/wan/wan-v2.7/edit-video"],
  get_generation: ["GET", "/generation/{id}"],
  delete_generation: ["DELETE", "/generation/{id}"],
  cancel_generation: ["POST", "/generation/{id}/cancel"],
  stream_events: ["GET", "/generation/{id}/events"],
  get_preview: ["GET", "/generation/{id}/preview"],
  list_generations: ["GET", "/generations"],
  list_running_generations: ["GET", "/generations/running"],
  list_keys: ["GET", "/keys"],
  create_key: ["POST", "/keys"],
  revoke_key: ["DELETE", "/keys/{id}"],
  list_models: ["GET", "/models"],
  list_webhooks: ["GET", "/webhooks"],
  create_webhook: ["POST", "/webhooks"],
  get_signing_secret: ["GET", "/webhooks/signing-secret"],
  get_webhook: ["GET", "/webhooks/{id}"],
  delete_webhook: ["DELETE", "/webhooks/{id}"],
  change_webhook: ["PATCH", "/webhooks/{id}"],
  list_webhook_deliveries: ["GET", "/webhooks/{id}/deliveries"],
  retry_webhook_delivery: ["POST", "/webhooks/{id}/deliveries/{delivery_id}/retry"],
  rotate_webhook_secret: ["POST", "/webhooks/{id}/rotate-secret"],
  test_webhook: ["POST", "/webhooks/{id}/test"],
} as const;

/** Credits moved by an entry, by pool; negative takes away. */
export interface Amount {
  /** The sum of the two pools. */
  total: number;
  /** Of the monthly pool. */
  subscription: number;
  /** Of the purchased packs. */
  permanent: number;
}

/** How a price comes about: rate × (input + output) for each clip. */
export interface Breakdown {
  /** The rate. */
  credits_per_second: number;
  /** Seconds of input that are billed. */
  input_seconds: number;
  /** Seconds of output. */
  output_seconds: number;
  /** Clips. */
  n: number;
}

/** What of an endpoint is to be different; what is absent stays. */
export interface ChangedEndpoint {
  /** Where it is: https, public, without redirects. */
  url?: string;
  /** What it is told of; empty is everything. */
  events?: ("task.created" | "task.started" | "task.completed" | "task.failed" | "task.canceled")[];
  /** For people. */
  description?: string;
  /** Whether it is told anything. What was still to be told when it was disabled is told when it is enabled again. */
  enabled?: boolean;
}

/** A clip to be made, by any of the four workflows. */
export interface CreateGeneration {
  /** The workflow. When absent it is inferred: references without `video_url` mean reference; `video_url` with a reference image means edit-video; `end_image_url` means frames; everything else text-image, where `video_url` alone continues a clip. To edit a clip without a reference image, send edit-video. */
  feature?: "text-image" | "frames" | "reference" | "edit-video";
  /** What the clip shows. Required for reference and edit-video, and for text-image without an image or a clip. */
  prompt?: string | null;
  /** What the clip should not show. Longer texts are refused, never cut. */
  negative_prompt?: string | null;
  /** The first frame, in text-image and frames; not with `video_url`. JPEG, PNG, BMP or WEBP, 240 to 8000 pixels per side, at most 20 MB. Also a `data:` URL. */
  image_url?: string;
  /** The last frame, in frames and text-image; needs `image_url` or `video_url`. As `image_url`. */
  end_image_url?: string;
  /** The clip to continue (text-image, frames) or to edit (edit-video, where it is required). MP4 or MOV, 2 to 10 s, 240 to 4096 pixels per side, at most 100 MB. */
  video_url?: string;
  /** "Image 1", "Image 2" … of the prompt, in reference. An edit uses only the first. */
  reference_image_urls?: string[];
  /** The image an edit refers to; wins over `reference_image_urls`. */
  reference_image_url?: string;
  /** "Video 1", "Video 2" … of the prompt, in reference. MP4 or MOV, 1 to 30 s each. */
  video_refs?: string[];
  /** Sound that drives or goes with the clip, in text-image and frames; not with `video_url`. WAV or MP3, 2 to 30 s, at most 15 MB. */
  audio_url?: string | null;
  /** The shape of the clip. When absent, a clip with an image or a clip as its input follows the input; when given, the input is cropped to it. */
  aspect_ratio?: "16:9" | "9:16" | "1:1" | "4:3" | "3:4";
  /** The tier of the result. */
  resolution?: "720p" | "1080p";
  /** Seconds: 2 to 15; 2 to 10 in reference with `video_refs`; 0 or 2 to 10 in edit-video, where it is the number of seconds used from the clip's start and 0 (also when absent) keeps its length. In a continuation it is the whole length, the clip included. A decimal string is taken too. */
  duration?: number;
  /** Whether the prompt may be expanded before it is used. */
  enable_prompt_expansion?: boolean | null;
  /** Several shots, cut together; true in reference only. */
  multi_shots?: boolean;
  /** The sound of the clip that is edited: origin keeps it, auto keeps it unless the prompt describes another. origin in edit-video only. */
  audio_setting?: "auto" | "origin";
  /** Fixes the noise the clip is made from; drawn and shown when absent. */
  seed?: number | null;
  /** Where to announce this generation's events. */
  webhook_url?: string;
}

/** The answer to a creating request. */
export interface CreatedEdit {
  /** The id of a generation. */
  id: string;
  status: QueueState;
  /** The credits it holds, or has cost. */
  usage: Usage;
  /** The input as it was understood. */
  input: Input;
  /** Where to go from here. */
  urls: Urls;
  /** The result; null until there is one, and after its media were removed. */
  data?: VideoData | null;
  /** Why there is no result. */
  code?: "VIDEO_GENERATION_INVALID_INPUT" | "VIDEO_GENERATION_CONTENT_REJECTED" | "VIDEO_GENERATION_TIMEOUT" | "VIDEO_GENERATION_PROVIDER_UNAVAILABLE" | "VIDEO_GENERATION_RATE_LIMITED" | "VIDEO_GENERATION_FAILED";
  /** The same for people. */
  message?: string;
}

/** The answer to a creating request. */
export interface CreatedGeneration {
  /** The id of a generation. */
  id: string;
  /** Where it stands. */
  status: PredictionStatus;
  /** The credits it holds, or has cost. */
  usage: Usage;
  /** The input as it was understood. */
  input: Input;
  /** Where to go from here. */
  urls: Urls;
  /** The result; null until there is one, and after its media were removed. */
  data?: VideoData | null;
  /** Why there is no result. */
  code?: "VIDEO_GENERATION_INVALID_INPUT" | "VIDEO_GENERATION_CONTENT_REJECTED" | "VIDEO_GENERATION_TIMEOUT" | "VIDEO_GENERATION_PROVIDER_UNAVAILABLE" | "VIDEO_GENERATION_RATE_LIMITED" | "VIDEO_GENERATION_FAILED";
  /** The same for people. */
  message?: string;
}

/** What an account can spend, and what its live generations have set aside. */
export interface CreditsView {
  /** What can be spent, of both pools. */
  total: number;
  /** What can be spent of the monthly pool. */
  subscription: number;
  /** What can be spent of the purchased packs. */
  permanent: number;
  /** What is set aside. */
  held: Usage;
}

/** One page of an endpoint's deliveries, newest first. */
export interface DeliveryList {
  /** The deliveries. */
  data: DeliveryView[];
  /** Whether there are older ones. */
  has_more: boolean;
  next_cursor: string | null;
}

/** One event on its way to one endpoint. */
export interface DeliveryView {
  /** The id of a delivery: its `webhook-id`. */
  id: string;
  /** What it tells. */
  type: string;
  generation_id: string | null;
  status: "pending" | "delivered" | "given_up" | "dropped";
  /** When that happened of which it tells. */
  created_at: string;
  next_try_at: string | null;
  /** What came of the tries so far. */
  tries: TryView[];
}

/** The durations that a feature takes, in seconds. */
export interface DurationView {
  /** The shortest; 0 keeps the length of the clip that is edited, and 1 is never taken. */
  min: number;
  /** The longest. */
  max: number;
  /** Taken when none is sent. */
  default: number;
}

/** A clip to be edited as the prompt says. */
export interface EditVideo {
  /** How the clip is to be changed. */
  prompt: string;
  /** The clip to edit. MP4 or MOV, 2 to 10 s, 240 to 4096 pixels per side, at most 100 MB. */
  video_url: string;
  /** An image the prompt may refer to. JPEG, PNG, BMP or WEBP, 240 to 8000 pixels per side, at most 20 MB. Also a `data:` URL. */
  reference_image_url?: string;
  /** The tier of the result. */
  resolution?: "720p" | "1080p";
  /** The shape of the result; null keeps the clip's. */
  aspect_ratio?: "16:9" | "9:16" | "1:1" | "4:3" | "3:4" | null;
  /** How many seconds of the clip are used, from its start; 0 uses all of it. A decimal string is taken too. */
  duration?: number;
  /** The clip's sound: origin keeps it, auto keeps it unless the prompt describes another. */
  audio_setting?: "auto" | "origin";
  /** Fixes the noise the result is made from; drawn and shown when absent. Further results take the seeds that follow. */
  seed?: number | null;
  /** How many results to make; the price is multiplied by it. */
  n?: number;
  /** Where to announce this generation's events. */
  webhook_url?: string;
}

/** A workspace's endpoints, oldest first. */
export interface EndpointList {
  /** The endpoints. */
  data: EndpointView[];
}

/** Where a workspace is told what becomes of its generations. */
export interface EndpointView {
  /** The id of a webhook endpoint. */
  id: string;
  /** Where it is. */
  url: string;
  /** What it is told of; empty is everything. */
  events: ("task.created" | "task.started" | "task.completed" | "task.failed" | "task.canceled")[];
  /** For people. */
  description: string;
  /** Whether it is told anything. */
  enabled: boolean;
  disabled_reason: string | null;
  /** When it was made. */
  created_at: string;
  /** What signs deliveries, as Standard Webhooks writes secrets. */
  secret?: string;
}

/** How busy an engine is. */
export interface EngineQueueView {
  /** Workers that take work for it. 0: what is created waits for one to come. */
  workers: number;
  /** Generations that wait for it. */
  queued: number;
  /** Generations that it makes. */
  running: number;
  /** About how long one slot would need for what waits, in seconds. */
  queue_seconds: number;
}

/** An engine that makes videos. */
export interface EngineView {
  /** Its name. */
  id: string;
  /** What it is good for. */
  about: string;
  features: ("text-image" | "frames" | "reference" | "edit-video")[];
  /** How busy it is, a few seconds ago at most; absent where that cannot be told. */
  queue?: EngineQueueView;
}

/** One page of the ledger, newest first. */
export interface EntryList {
  /** The entries. */
  data: EntryView[];
  /** Whether there are older ones. */
  has_more: boolean;
  next_cursor: string | null;
}

/** One entry of the ledger. */
export interface EntryView {
  /** Its id. */
  id: string;
  /** When. */
  created_at: string;
  type: "grant" | "purchase" | "hold" | "capture" | "release" | "expire" | "adjust";
  /** The generation it belongs to. */
  generation_id?: string;
  /** What it moves. A capture moves what was held to what is spent: 0, or the surplus that it frees. */
  amount: Amount;
}

/** The body of every error. */
export interface ErrorBody {
  /** An older alias of `code`. */
  error: string;
  /** What to branch on. */
  code: string;
  /** The same for people. */
  message: string;
  /** Every member that is at fault, where members are. */
  errors?: FieldError[];
}

/** One event of a stream. */
export interface EventData {
  /** The id of a generation. */
  id: string;
  /** Where it stands. */
  status: QueueState;
  /** The result; null until there is one, and after its media were removed. */
  data: VideoData | null;
  /** The credits it holds, or has cost. */
  usage: Usage;
  /** How much of it is behind; never decreases. */
  progress: number;
  /** What is being done. An open set. */
  stage: string;
  /** Why there is no result. */
  code?: "VIDEO_GENERATION_INVALID_INPUT" | "VIDEO_GENERATION_CONTENT_REJECTED" | "VIDEO_GENERATION_TIMEOUT" | "VIDEO_GENERATION_PROVIDER_UNAVAILABLE" | "VIDEO_GENERATION_RATE_LIMITED" | "VIDEO_GENERATION_FAILED";
  /** The same for people. */
  message?: string;
}

/** The limits of one feature. */
export interface FeatureView {
  feature: "text-image" | "frames" | "reference" | "edit-video";
  starts: ("text" | "first-frame" | "first-and-last-frame" | "clip" | "clip-and-last-frame" | "references" | "clip-to-edit")[];
  resolutions: ("720p" | "1080p")[];
  aspect_ratios: ("16:9" | "9:16" | "1:1" | "4:3" | "3:4")[];
  /** Seconds. */
  duration: DurationView;
  /** The most reference images. */
  max_reference_images: number;
  /** The most reference videos. */
  max_reference_videos: number;
  /** The most references of both kinds together. */
  max_references: number;
  /** Whether `audio_url` is taken. */
  audio_input: boolean;
}

/** What is wrong with one member. */
export interface FieldError {
  /** The member, with an index for array items. */
  field: string;
  /** The rest of a sentence that starts with the member. */
  message: string;
}

/** One page of a workspace's generations, newest first. */
export interface GenerationList {
  /** The generations. */
  data: GenerationView[];
  /** Whether there are older ones. */
  has_more: boolean;
  next_cursor: string | null;
}

/** One generation. */
export interface GenerationView {
  /** The id of a generation. */
  id: string;
  /** Where it stands. */
  status: QueueState;
  /** The input as it was understood. */
  input: Input;
  /** The result; null until there is one, and after its media were removed. */
  data: VideoData | null;
  /** Present and true once its media were removed. */
  data_removed?: boolean;
  /** The credits it holds, or has cost. */
  usage: Usage;
  /** Why there is no result. */
  code?: "VIDEO_GENERATION_INVALID_INPUT" | "VIDEO_GENERATION_CONTENT_REJECTED" | "VIDEO_GENERATION_TIMEOUT" | "VIDEO_GENERATION_PROVIDER_UNAVAILABLE" | "VIDEO_GENERATION_RATE_LIMITED" | "VIDEO_GENERATION_FAILED";
  /** The same for people. */
  message?: string;
  /** How much of it is behind; never decreases. */
  progress: number;
  /** What is being done. An open set. */
  stage: string;
  /** The model it was posted to. */
  model: string;
  /** When it was submitted. */
  created_at: string;
  /** When work on it began. */
  started_at?: string;
  /** When it came to its end. */
  completed_at?: string;
  /** Where to go from here. */
  urls: Urls;
}

/** The input as it was understood. Absent and inapplicable members are left out. */
export interface Input {
  feature: "text-image" | "frames" | "reference" | "edit-video";
  /** The prompt. */
  prompt?: string;
  /** What the clip should not show. */
  negative_prompt?: string;
  /** The first frame. */
  image_url?: string;
  /** The last frame. */
  end_image_url?: string;
  /** The clip that is continued or edited. */
  video_url?: string;
  /** "Image 1", "Image 2" … of the prompt. */
  reference_image_urls?: string[];
  /** The image that an edit refers to. */
  reference_image_url?: string;
  /** "Video 1", "Video 2" … of the prompt. */
  video_refs?: string[];
  /** The sound that drives or goes with the clip. */
  audio_url?: string;
  aspect_ratio?: "16:9" | "9:16" | "1:1" | "4:3" | "3:4";
  resolution: "720p" | "1080p";
  /** Seconds; 0 keeps the length of the clip that is edited. */
  duration: number;
  /** Whether the prompt may be expanded. */
  enable_prompt_expansion?: boolean;
  /** Whether the clip has several shots. */
  multi_shots?: boolean;
  audio_setting: "auto" | "origin";
  /** Given or drawn. */
  seed: number;
  /** How many clips are made, on the endpoint that asks for it. */
  n?: number;
}

/** A workspace's keys, oldest first, revoked ones included. */
export interface KeyList {
  /** The keys. */
  data: KeyView[];
}

/** An API key. */
export interface KeyView {
  /** The id of an API key: its name, not its secret. */
  id: string;
  /** What people call it. */
  name: string;
  scope: "full" | "read";
  /** Whether it is the one that asks. */
  current: boolean;
  /** When it was made. */
  created_at: string;
  revoked_at: string | null;
  /** What clients send: shown when the key is made, and never again. */
  key?: string;
}

/** One model. */
export interface ModelView {
  /** Provider and model, as they stand in paths. */
  id: string;
  /** Where to post to. */
  endpoint: string;
  /** Where to post to for a stream of events. */
  sse_endpoint: string;
  /** The engines that make its videos, in order of preference. */
  engines: EngineView[];
  /** What it can do here, and its limits. */
  features: FeatureView[];
  /** What it costs. */
  prices: PriceView[];
}

/** The models. */
export interface ModelsView {
  /** One entry a model. */
  data: ModelView[];
}

/** An endpoint to be made. */
export interface NewEndpoint {
  /** Where it is: https, public, without redirects. */
  url: string;
  /** What it is told of; empty is everything. */
  events?: ("task.created" | "task.started" | "task.completed" | "task.failed" | "task.canceled")[];
  /** For people. */
  description?: string;
  /** Whether it is told anything; true unless it is said. */
  enabled?: boolean;
}

/** A key to be made. */
export interface NewKey {
  /** What people call it. */
  name: string;
  scope?: "full" | "read";
}

/** The lower-case set, in the answer of the endpoint that has all four workflows. */
export type PredictionStatus = "starting" | "processing" | "succeeded" | "failed" | "canceled";

/** The price of one feature at one resolution. */
export interface PriceView {
  resolution: "720p" | "1080p";
  feature: "text-image" | "frames" | "reference" | "edit-video";
  /** Credits for each second. */
  credits_per_second: number;
  /** Whether seconds of input clips count too. */
  bills_input: boolean;
}

/** The upper-case set, everywhere else. */
export type QueueState = "IN_QUEUE" | "IN_PROGRESS" | "COMPLETED" | "FAILED" | "CANCELED";

/** A delivery that was queued by hand. */
export interface QueuedDelivery {
  /** The id of a delivery: its `webhook-id`. */
  id: string;
}

/** What a request would cost. */
export interface QuoteView {
  feature: "text-image" | "frames" | "reference" | "edit-video";
  /** The input as it was understood. */
  input: Input;
  /** `total` is the price. It is divided as a hold would divide it now; where the balance does not suffice, the pools show what is there. */
  usage: Usage;
  /** How the price comes about. */
  breakdown: Breakdown;
  /** False where the length of an input is not known yet: the price is then the upper bound. */
  exact: boolean;
  /** Whether the balance suffices. */
  sufficient: boolean;
}

/** A generation that is queued or in progress. */
export interface RunningItem {
  /** The id of a generation. */
  id: string;
  /** Where it stands. */
  status: QueueState;
  /** The credits it holds. */
  usage: Usage;
  /** The input as it was understood. */
  input: Input;
}

/** What signs the deliveries to the `webhook_url` of requests. */
export interface SigningSecretView {
  /** What signs deliveries, as Standard Webhooks writes secrets. */
  secret: string;
}

/** What came of one try. */
export interface TryView {
  /** When it was made. */
  at: string;
  status: number | null;
  /** How long it took. */
  latency_ms: number;
  /** The first bytes of the answer. */
  answer: string;
  error: string | null;
  next_try_at: string | null;
}

/** Where to go from a generation. */
export interface Urls {
  /** Reads it. */
  get: string;
  /** Cancels it. */
  cancel: string;
  /** Follows it. */
  events: string;
}

/** Credits set aside or spent, by pool. */
export interface Usage {
  /** The sum of the two pools. */
  total: number;
  /** Of the monthly pool. */
  subscription: number;
  /** Of the purchased packs. */
  permanent: number;
}

/** The result of a generation. */
export interface VideoData {
  type: "video";
  /** How many clips there are. */
  n: number;
  actual_prompt: string | null;
  /** The seed of the first clip. */
  seed: number;
  /** The clips. */
  videos: VideoFile[];
  /** The first clip. */
  video: VideoFile;
  /** What was done differently from what was asked. */
  warnings: WarningView[];
}

/** One clip. */
export interface VideoFile {
  /** Where to read it, for a while. */
  url: string;
  /** Its name. */
  file_name: string;
  /** Always `video/mp4`. */
  content_type: string;
  /** Columns. */
  width: number;
  /** Rows. */
  height: number;
  /** Seconds. */
  duration: number;
  /** Frames a second. */
  fps: number;
  /** Frames. */
  num_frames: number;
  /** Bytes. */
  file_size: number;
  /** Where to read the JPEG of its first frame, for a while. */
  poster_url: string;
}

/** Something that was done differently from what was asked. */
export interface WarningView {
  /** A stable word. */
  code: string;
  /** A sentence. */
  message: string;
}
