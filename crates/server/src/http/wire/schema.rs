//! The schemas of the create bodies, and the small ones that several answers share.
//!
//! Tools build forms and payloads from the create schemas, so they are flat: direct properties, no composition at
//! the top, what applies to which workflow said in the descriptions. They are written as tables of members;
//! a test holds their names against those that [`members`](super::members) reads. Answers derive their schemas.

use std::borrow::Cow;

use kinora_domain::{AspectRatio, AudioSetting, FailureCode, Feature, Resolution, Start, ledger::EntryType};
use kinora_store::Scope;
use serde_json::{Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Ref, RefOr,
        schema::{
            AdditionalProperties, AnyOfBuilder, ArrayBuilder, Object, ObjectBuilder, Schema, SchemaFormat,
            Type,
        },
    },
};

use super::{super::error::failure_code, keys::SCOPES, webhook::EVENTS};

/// The JSON body of the endpoint that has all four workflows.
pub struct CreateGeneration;
/// The multipart body of the endpoint that has all four workflows.
pub struct CreateGenerationForm;
/// The JSON body of the edit endpoint.
pub struct EditVideo;
/// The multipart body of the edit endpoint.
pub struct EditVideoForm;

impl PartialSchema for CreateGeneration {
    fn schema() -> RefOr<Schema> {
        body(
            "A clip to be made, by any of the four workflows.",
            CREATE,
            &[],
            Form::Json,
        )
    }
}

impl PartialSchema for CreateGenerationForm {
    fn schema() -> RefOr<Schema> {
        body(
            "A clip to be made, with its media as files or URLs.",
            CREATE,
            &[],
            Form::Multipart,
        )
    }
}

impl PartialSchema for EditVideo {
    fn schema() -> RefOr<Schema> {
        body(
            "A clip to be edited as the prompt says.",
            EDIT,
            EDIT_REQUIRED,
            Form::Json,
        )
    }
}

impl PartialSchema for EditVideoForm {
    fn schema() -> RefOr<Schema> {
        body(
            "A clip to be edited, with its media as files or URLs.",
            EDIT,
            EDIT_REQUIRED,
            Form::Multipart,
        )
    }
}

macro_rules! named {
    ($($name:ident),*) => {$(
        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    )*};
}
named!(CreateGeneration, CreateGenerationForm, EditVideo, EditVideoForm);

/// One member of a create body, as documented.
struct Row {
    name: &'static str,
    kind: Kind,
    doc: &'static str,
}

/// The type of a member and the bounds of its values.
#[derive(Clone, Copy)]
enum Kind {
    Text {
        chars_min: usize,
        chars_max: usize,
        null: Null,
    },
    Choice {
        values: fn() -> Vec<&'static str>,
        default: Option<&'static str>,
        null: Null,
    },
    /// An image takes `data:` URLs of any length; other URLs are bounded.
    Medium {
        image: bool,
        null: Null,
    },
    MediaList {
        image: bool,
    },
    Url,
    Whole {
        min: i64,
        max: i64,
        except: Option<i64>,
        default: Option<i64>,
        null: Null,
    },
    Flag {
        default: bool,
        null: Null,
    },
}

/// Whether null is documented. It is accepted, and means absent, for every member.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Null {
    Taken,
    Unmentioned,
}

/// The two forms of a create body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Multipart,
}

const URL_CHARS_MAX: usize = kinora_domain::spec::URL_CHARS_MAX;
const SEED: Kind = Kind::Whole {
    min: 0,
    max: kinora_domain::spec::SEED_MAX as i64,
    except: None,
    default: None,
    null: Null::Taken,
};
const RESOLUTION: Kind = Kind::Choice {
    values: resolution_words,
    default: Some("1080p"),
    null: Null::Unmentioned,
};
const AUDIO_SETTING: Kind = Kind::Choice {
    values: audio_setting_words,
    default: Some("auto"),
    null: Null::Unmentioned,
};
const PROMPT_CHARS_MAX: usize = kinora_domain::spec::PROMPT_CHARS_MAX;

const CREATE: &[Row] = &[
    Row {
        name: "feature",
        kind: Kind::Choice {
            values: feature_words,
            default: None,
            null: Null::Unmentioned,
        },
        doc: "The workflow. When absent it is inferred: references without `video_url` mean reference; \
              `video_url` with a reference image means edit-video; `end_image_url` means frames; everything else \
              text-image, where `video_url` alone continues a clip. To edit a clip without a reference image, send \
              edit-video.",
    },
    Row {
        name: "prompt",
        kind: Kind::Text {
            chars_min: 1,
            chars_max: PROMPT_CHARS_MAX,
            null: Null::Taken,
        },
        doc: "What the clip shows. Required for reference and edit-video, and for text-image without an image or \
              a clip.",
    },
    Row {
        name: "negative_prompt",
        kind: Kind::Text {
            chars_min: 0,
            chars_max: kinora_domain::spec::NEGATIVE_PROMPT_CHARS_MAX,
            null: Null::Taken,
        },
        doc: "What the clip should not show. Longer texts are refused, never cut.",
    },
    Row {
        name: "image_url",
        kind: Kind::Medium {
            image: true,
            null: Null::Unmentioned,
        },
        doc: "The first frame, in text-image and frames; not with `video_url`. JPEG, PNG, BMP or WEBP, 240 to 8000 \
              pixels per side, at most 20 MB. Also a `data:` URL.",
    },
    Row {
        name: "end_image_url",
        kind: Kind::Medium {
            image: true,
            null: Null::Unmentioned,
        },
        doc: "The last frame, in frames and text-image; needs `image_url` or `video_url`. As `image_url`.",
    },
    Row {
        name: "video_url",
        kind: Kind::Medium {
            image: false,
            null: Null::Unmentioned,
        },
        doc: "The clip to continue (text-image, frames) or to edit (edit-video, where it is required). MP4 or MOV, \
              2 to 10 s, 240 to 4096 pixels per side, at most 100 MB.",
    },
    Row {
        name: "reference_image_urls",
        kind: Kind::MediaList { image: true },
        doc: "\"Image 1\", \"Image 2\" … of the prompt, in reference. An edit uses only the first.",
    },
    Row {
        name: "reference_image_url",
        kind: Kind::Medium {
            image: true,
            null: Null::Unmentioned,
        },
        doc: "The image an edit refers to; wins over `reference_image_urls`.",
    },
    Row {
        name: "video_refs",
        kind: Kind::MediaList { image: false },
        doc: "\"Video 1\", \"Video 2\" … of the prompt, in reference. MP4 or MOV, 1 to 30 s each.",
    },
    Row {
        name: "audio_url",
        kind: Kind::Medium {
            image: false,
            null: Null::Taken,
        },
        doc: "Sound that drives or goes with the clip, in text-image and frames; not with `video_url`. WAV or MP3, \
              2 to 30 s, at most 15 MB.",
    },
    Row {
        name: "aspect_ratio",
        kind: Kind::Choice {
            values: aspect_ratio_words,
            default: Some("16:9"),
            null: Null::Unmentioned,
        },
        doc: "The shape of the clip. When absent, a clip with an image or a clip as its input follows the input; \
              when given, the input is cropped to it.",
    },
    Row {
        name: "resolution",
        kind: RESOLUTION,
        doc: "The tier of the result.",
    },
    Row {
        name: "duration",
        kind: Kind::Whole {
            min: 0,
            max: 15,
            except: None,
            default: Some(5),
            null: Null::Unmentioned,
        },
        doc: "Seconds: 2 to 15; 2 to 10 in reference with `video_refs`; 0 or 2 to 10 in edit-video, where it \
              is the number of seconds used from the clip's start and 0 (also when absent) keeps its length. In a continuation it is \
              the whole length, the clip included. A decimal string is taken too.",
    },
    Row {
        name: "enable_prompt_expansion",
        kind: Kind::Flag {
            default: true,
            null: Null::Taken,
        },
        doc: "Whether the prompt may be expanded before it is used.",
    },
    Row {
        name: "multi_shots",
        kind: Kind::Flag {
            default: false,
            null: Null::Unmentioned,
        },
        doc: "Several shots, cut together; true in reference only.",
    },
    Row {
        name: "audio_setting",
        kind: AUDIO_SETTING,
        doc: "The sound of the clip that is edited: origin keeps it, auto keeps it unless the prompt describes \
              another. origin in edit-video only.",
    },
    Row {
        name: "seed",
        kind: SEED,
        doc: "Fixes the noise the clip is made from; drawn and shown when absent.",
    },
    Row {
        name: "webhook_url",
        kind: Kind::Url,
        doc: "Where to announce this generation's events.",
    },
];

const EDIT_REQUIRED: &[&str] = &["prompt", "video_url"];

const EDIT: &[Row] = &[
    Row {
        name: "prompt",
        kind: Kind::Text {
            chars_min: 1,
            chars_max: PROMPT_CHARS_MAX,
            null: Null::Unmentioned,
        },
        doc: "How the clip is to be changed.",
    },
    Row {
        name: "video_url",
        kind: Kind::Medium {
            image: false,
            null: Null::Unmentioned,
        },
        doc: "The clip to edit. MP4 or MOV, 2 to 10 s, 240 to 4096 pixels per side, at most 100 MB.",
    },
    Row {
        name: "reference_image_url",
        kind: Kind::Medium {
            image: true,
            null: Null::Unmentioned,
        },
        doc: "An image the prompt may refer to. JPEG, PNG, BMP or WEBP, 240 to 8000 pixels per side, at most \
              20 MB. Also a `data:` URL.",
    },
    Row {
        name: "resolution",
        kind: RESOLUTION,
        doc: "The tier of the result.",
    },
    Row {
        name: "aspect_ratio",
        kind: Kind::Choice {
            values: aspect_ratio_words,
            default: None,
            null: Null::Taken,
        },
        doc: "The shape of the result; null keeps the clip's.",
    },
    Row {
        name: "duration",
        kind: Kind::Whole {
            min: 0,
            max: 10,
            except: Some(1),
            default: Some(0),
            null: Null::Unmentioned,
        },
        doc: "How many seconds of the clip are used, from its start; 0 uses all of it. A decimal string is taken \
              too.",
    },
    Row {
        name: "audio_setting",
        kind: AUDIO_SETTING,
        doc: "The clip's sound: origin keeps it, auto keeps it unless the prompt describes another.",
    },
    Row {
        name: "seed",
        kind: SEED,
        doc: "Fixes the noise the result is made from; drawn and shown when absent. Further results take the \
              seeds that follow.",
    },
    Row {
        name: "n",
        kind: Kind::Whole {
            min: 1,
            max: 4,
            except: None,
            default: Some(1),
            null: Null::Unmentioned,
        },
        doc: "How many results to make; the price is multiplied by it.",
    },
    Row {
        name: "webhook_url",
        kind: Kind::Url,
        doc: "Where to announce this generation's events.",
    },
];

fn body(doc: &str, rows: &[Row], required: &[&str], form: Form) -> RefOr<Schema> {
    let mut object = ObjectBuilder::new()
        .description(Some(doc))
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(true)));
    for row in rows {
        object = object.property(row.name, property(row, form));
    }
    for name in required {
        object = object.required(*name);
    }
    object.into()
}

fn property(row: &Row, form: Form) -> Schema {
    let doc = row.doc;
    match row.kind {
        Kind::Text {
            chars_min,
            chars_max,
            null,
        } => {
            let chars_min = (chars_min > 0).then_some(chars_min);
            let text = string().min_length(chars_min).max_length(Some(chars_max));
            described(text, doc, null, None)
        }
        Kind::Choice {
            values,
            default,
            null,
        } => described(
            string().enum_values(Some(values())),
            doc,
            null,
            default.map(Value::from),
        ),
        Kind::Medium { image, null } => match form {
            Form::Json => described(url(image), doc, null, None),
            Form::Multipart => file_or_url(image).description(Some(doc)).into(),
        },
        Kind::MediaList { image } => {
            let item = match form {
                Form::Json => Schema::from(url(image)),
                Form::Multipart => file_or_url(image).into(),
            };
            let most = Some(kinora_domain::catalog::REFERENCES_MAX);
            ArrayBuilder::new()
                .items(RefOr::from(item))
                .max_items(most)
                .description(Some(doc))
                .into()
        }
        Kind::Url => described(url(false), doc, Null::Unmentioned, None),
        Kind::Whole {
            min,
            max,
            except,
            default,
            null,
        } => {
            let mut whole = ObjectBuilder::new()
                .schema_type(Type::Integer)
                .minimum(Some(min as f64))
                .maximum(Some(max as f64));
            if let Some(except) = except {
                whole = whole.enum_values(Some((min..=max).filter(|value| *value != except)));
            }
            described(whole, doc, null, default.map(Value::from))
        }
        Kind::Flag { default, null } => {
            let flag = ObjectBuilder::new().schema_type(Type::Boolean);
            described(flag, doc, null, Some(default.into()))
        }
    }
}

/// A schema with what is said about it; around it, where null is taken, a choice between it and null.
fn described(object: ObjectBuilder, doc: &str, null: Null, default: Option<Value>) -> Schema {
    match null {
        Null::Unmentioned => object.description(Some(doc)).default(default).into(),
        Null::Taken => or_null(Schema::from(object))
            .description(Some(doc))
            .default(default)
            .into(),
    }
}

/// A schema or null.
pub(super) fn or_null(schema: impl Into<RefOr<Schema>>) -> AnyOfBuilder {
    AnyOfBuilder::new()
        .item(schema)
        .item(Object::with_type(Type::Null))
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn url(image: bool) -> ObjectBuilder {
    let chars_max = (!image).then_some(URL_CHARS_MAX);
    string()
        .format(Some(SchemaFormat::Custom("uri".to_owned())))
        .max_length(chars_max)
}

fn file_or_url(image: bool) -> AnyOfBuilder {
    let file = string().format(Some(SchemaFormat::Custom("binary".to_owned())));
    AnyOfBuilder::new()
        .item(Schema::from(file))
        .item(Schema::from(url(image)))
}

fn feature_words() -> Vec<&'static str> {
    Feature::ALL.map(Feature::as_str).into()
}

fn resolution_words() -> Vec<&'static str> {
    Resolution::ALL.map(Resolution::as_str).into()
}

fn aspect_ratio_words() -> Vec<&'static str> {
    AspectRatio::ALL.map(AspectRatio::as_str).into()
}

fn audio_setting_words() -> Vec<&'static str> {
    AudioSetting::ALL.map(AudioSetting::as_str).into()
}

fn choice(values: Vec<&'static str>) -> Schema {
    string().enum_values(Some(values)).into()
}

/// The features.
pub(super) fn features() -> Schema {
    choice(feature_words())
}

/// The resolutions.
pub(super) fn resolutions() -> Schema {
    choice(resolution_words())
}

/// The aspect ratios.
pub(super) fn aspect_ratios() -> Schema {
    choice(aspect_ratio_words())
}

/// The audio settings.
pub(super) fn audio_settings() -> Schema {
    choice(audio_setting_words())
}

/// Several resolutions.
pub(super) fn resolution_list() -> Schema {
    ArrayBuilder::new().items(RefOr::from(resolutions())).into()
}

/// Several features.
pub(super) fn feature_list() -> Schema {
    ArrayBuilder::new().items(RefOr::from(features())).into()
}

/// What clips start from.
pub(super) fn start_list() -> Schema {
    let words = Start::ALL.map(Start::as_str).into();
    ArrayBuilder::new().items(RefOr::from(choice(words))).into()
}

/// Several aspect ratios.
pub(super) fn aspect_ratio_list() -> Schema {
    ArrayBuilder::new().items(RefOr::from(aspect_ratios())).into()
}

/// The types of ledger entries.
pub(super) fn entry_types() -> Schema {
    choice(EntryType::ALL.map(EntryType::as_str).into())
}

/// The codes a failed generation can have.
pub(super) fn failure_codes() -> Schema {
    let codes = string().enum_values(Some(FailureCode::ALL.map(failure_code)));
    codes.description(Some("Why there is no result.")).into()
}

/// The one type of data there is.
pub(super) fn video_type() -> Schema {
    choice(vec!["video"])
}

/// The id of a generation.
pub fn generation_id() -> Schema {
    string()
        .description(Some("The id of a generation."))
        .pattern(Some("^gen_[0-7][0-9A-HJKMNP-TV-Z]{25}$"))
        .examples([json!("gen_01JC3Z6Q8W5M2R7T9K4X1B0ADE")])
        .into()
}

/// A text or null.
pub(super) fn nullable_text() -> Schema {
    or_null(Schema::from(string())).into()
}

/// A moment in seconds since 1970, or null.
pub(super) fn nullable_unix_seconds() -> Schema {
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    or_null(Schema::from(seconds)).into()
}

/// Nothing else than null.
pub(super) fn null() -> Schema {
    Object::with_type(Type::Null).into()
}

/// A result or null.
pub(super) fn nullable_video_data() -> Schema {
    let data = or_null(RefOr::Ref(Ref::from_schema_name("VideoData")));
    data.description(Some(
        "The result; null until there is one, and after its media were removed.",
    ))
    .into()
}

/// The id of an API key.
pub fn key_id() -> Schema {
    string()
        .description(Some("The id of an API key: its name, not its secret."))
        .pattern(Some("^key_[0-7][0-9A-HJKMNP-TV-Z]{25}$"))
        .into()
}

/// What keys can be allowed.
pub(super) fn scopes() -> Schema {
    choice(SCOPES.map(Scope::as_str).into())
}

/// The id of a webhook endpoint.
pub fn endpoint_id() -> Schema {
    string()
        .description(Some("The id of a webhook endpoint."))
        .pattern(Some("^whe_[0-7][0-9A-HJKMNP-TV-Z]{25}$"))
        .into()
}

/// The id of a webhook delivery.
pub fn delivery_id() -> Schema {
    string()
        .description(Some("The id of a delivery: its `webhook-id`."))
        .pattern(Some("^dlv_[0-7][0-9A-HJKMNP-TV-Z]{25}$"))
        .into()
}

/// What an endpoint is told of.
pub(super) fn webhook_events() -> Schema {
    ArrayBuilder::new()
        .items(RefOr::from(choice(EVENTS.into())))
        .description(Some("What it is told of; empty is everything."))
        .into()
}

/// What signs deliveries.
pub(super) fn webhook_secret() -> Schema {
    string()
        .description(Some(
            "What signs deliveries, as Standard Webhooks writes secrets.",
        ))
        .pattern(Some("^whsec_[A-Za-z0-9+/]{43}=$"))
        .into()
}

/// What can have become of a delivery.
pub(super) fn delivery_statuses() -> Schema {
    choice(vec!["pending", "delivered", "given_up", "dropped"])
}

/// An HTTP status or null.
pub(super) fn nullable_status() -> Schema {
    let status = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(100))
        .maximum(Some(999));
    or_null(Schema::from(status)).into()
}

#[cfg(test)]
mod tests;
