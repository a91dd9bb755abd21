//! What is taken and what is refused, source by source.

use std::fs;

use kinora_domain::{AnnouncedOffer, Feature, Offer, Start};
use kinora_engine::Secret;

use super::*;

fn load(
    file: Option<&str>,
    environment: &[(&str, &str)],
    flags: &[(&'static str, &'static str, &str)],
) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kinora.toml");
    if let Some(text) = file {
        fs::write(&path, text).unwrap();
    }
    let environment = environment
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let flags = flags.iter().map(|&(name, key, value)| Flag {
        name,
        key,
        value: value.to_owned(),
    });
    Config::load(file.map(|_| path.as_path()), environment, flags).map_err(|error| {
        let text = kinora_media::chain(&error);
        text.replace(&format!("{}/", folder.path().display()), "")
    })
}

#[test]
fn the_defaults_are_read_whole() {
    let config = load(None, &[], &[]).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.public_url, None);
    assert_eq!(config.engine.name, EngineName::Wan);
    assert_eq!(config.engine.checkpoint, None);
    assert_eq!(config.engine.guidance, None);
    assert_eq!(config.engine.quantization, Quantization::None);
    assert_eq!(config.prices.credits_per_second_1080p, 15);
    assert_eq!(config.prices.billed_input_ms_max, None);
    assert_eq!(config.media.sandbox, SandboxPolicy::Required);
    assert_eq!(config.data.retention_ms, Some(30 * DAY_MS));
    assert_eq!((config.dashscope, config.videos_api), (None, None));
}

#[test]
fn qualities_are_named() {
    let quality = |file: &str| load(Some(file), &[], &[]).map(|config| config.engine.quality);
    assert_eq!(quality(""), Ok(Quality::Exact));
    assert_eq!(quality("[engine]\nquality = \"fast\""), Ok(Quality::Fast));
    let refused = quality("[engine]\nquality = \"best\"").unwrap_err();
    assert!(
        refused.contains("takes \"exact\", \"balanced\", \"fast\""),
        "{refused}"
    );
}

#[test]
fn upstreams_are_there_when_they_are_named() {
    let variables = [
        ("KINORA_DASHSCOPE__KEY", "sk-secret"),
        ("KINORA_VIDEOS_UPSTREAM__URL", "http://10.0.0.7:8091"),
        ("KINORA_VIDEOS_UPSTREAM__SIZES", "832x480, 480x832"),
        ("KINORA_VIDEOS_UPSTREAM__STARTS", "text,first-frame"),
        ("KINORA_ROUTES__FRAMES", "engine,dashscope"),
        ("KINORA_ROUTES__TEXT_IMAGE", "engine:c,dashscope,engine"),
        ("KINORA_ENGINE__NAME", "none"),
    ];
    let config = load(None, &variables, &[]).unwrap();
    assert!(!format!("{config:?}").contains("sk-secret"));
    let dashscope = config.dashscope.unwrap();
    assert_eq!(dashscope.options.key, Secret::new("sk-secret".to_owned()));
    assert_eq!(dashscope.at_once, 4);
    let server = config.videos_api.unwrap().options;
    assert_eq!((server.sizes.len(), server.sizes[1].height), (2, 832));
    assert_eq!(server.starts, [Start::Text, Start::FirstFrame]);
    let routes = config.routes;
    let offer = |id: &str, section: EngineSection| AnnouncedOffer {
        offer: Offer::unlimited(id, ""),
        section: section.as_str().to_owned(),
    };
    let offers = [
        offer("a", EngineSection::Engine),
        offer("b", EngineSection::DashScope),
        offer("c", EngineSection::Engine),
        offer("d", EngineSection::VideosApi),
    ];
    let order = |feature| -> Vec<String> {
        let ids = routes.order(feature, &offers).into_iter();
        ids.map(|id| id.to_string()).collect()
    };
    assert_eq!(order(Feature::Frames), ["a", "c", "b"]);
    assert_eq!(order(Feature::Reference), ["b", "d", "a", "c"]);
    assert_eq!(order(Feature::TextImage), ["c", "b", "a"]);
}

#[test]
fn a_bucket_is_there_when_it_is_named() {
    let config = load(None, &[], &[]).unwrap();
    assert!(config.blobs.bucket.is_none());
    let variables = [
        ("KINORA_BLOBS__URL", "s3://videos/a/b"),
        ("KINORA_BLOBS__ENDPOINT", "http://10.0.0.7:9000/"),
        ("KINORA_BLOBS__ALLOW_HTTP", "true"),
        ("KINORA_BLOBS__SECRET_ACCESS_KEY", "s3cret-ours"),
        ("KINORA_BLOBS__ACCOUNT", "another-provider"),
        ("AWS_ACCESS_KEY_ID", "AKIA"),
        ("AWS_SECRET_ACCESS_KEY", "s3cret-theirs"),
        ("AWS_PAGER", "less"),
        ("GOOGLE_SERVICE_ACCOUNT", "/account.json"),
    ];
    let config = load(None, &variables, &[]).unwrap();
    assert!(!format!("{config:?}").contains("s3cret"));
    let bucket = config.blobs.bucket.unwrap();
    assert_eq!(bucket.url(), "s3://videos/a/b");
    assert_eq!(bucket.endpoint.as_deref(), Some("http://10.0.0.7:9000"));
    assert_eq!(bucket.redirects.unwrap().life.as_secs(), 3600);
    assert_eq!(bucket.grace_ms, config.data.orphan_grace_ms);
    // Theirs of this provider, and ours over them.
    let mut expected = kinora_store::blobs::ProviderSettings::default();
    expected.set("aws_access_key_id", "AKIA");
    expected.set("aws_secret_access_key", "s3cret-theirs");
    expected.set("secret_access_key", "s3cret-ours");
    assert_eq!(bucket.settings, expected);
    for (url, told) in [
        ("gs://videos", "gs://videos"),
        ("az://videos/a/", "az://videos/a"),
    ] {
        let config = load(None, &[("KINORA_BLOBS__URL", url)], &[]).unwrap();
        assert_eq!(config.blobs.bucket.unwrap().url(), told);
    }
    for (key, value) in [
        ("URL", "videos"),
        ("URL", "s3:videos"),
        ("URL", "s3:///a"),
        ("URL", "s3://a b"),
        ("URL", "ftp://videos"),
        ("URL", "s3://videos/a//b"),
        ("ENDPOINT", "http://10.0.0.7:9000"),
        ("ENDPOINT", "10.0.0.7"),
        ("REDIRECT_ENDPOINT", "https://a?b"),
        ("REDIRECT_LIFE_S", "59"),
        ("CACHE_MIB", "1"),
        ("REGION", "eu west"),
        ("PRESIGNED_REDIRECTS", "maybe"),
    ] {
        let error = load(None, &[(&format!("KINORA_BLOBS__{key}"), value)], &[]).unwrap_err();
        assert!(
            error.contains(&format!("blobs.{} = ", key.to_lowercase())),
            "{error}"
        );
    }
}

#[test]
fn prompts_are_expanded_by_whom_the_configuration_names() {
    let check = |file: &str, expected: &str| {
        let said = match load(Some(file), &[], &[]) {
            Ok(config) => match config.prompt {
                PromptConfig::Off => "off".to_owned(),
                PromptConfig::Template => "template".to_owned(),
                PromptConfig::Chat(options) => {
                    format!(
                        "{} at {} within {:?}",
                        options.model, options.url, options.timeout
                    )
                }
            },
            Err(problem) => problem,
        };
        assert!(said.contains(expected), "{file}: {said}");
    };
    const SERVER: &str = "base_url = \"http://10.0.0.7:11434/v1\"";
    check("", "template");
    check("[prompt]\nexpander = \"off\"", "off");
    check(
        &format!("[prompt]\nexpander = \"template\"\n{SERVER}"),
        "template",
    );
    check(
        &format!("[prompt]\n{SERVER}\nmodel = \"qwen3:4b\"\ntimeout_s = 30"),
        "qwen3:4b at http://10.0.0.7:11434/v1 within 30s",
    );
    check(
        &format!("[prompt]\n{SERVER}"),
        "prompt.model = \"\" in the defaults: takes the name of a model where there is a base_url",
    );
    check(
        "[prompt]\nexpander = \"chat\"\nmodel = \"qwen3\"",
        "prompt.base_url = \"\" in the defaults: takes an http:// or https:// URL where the expander is \"chat\"",
    );
    check(
        "[prompt]\nexpander = \"llm\"",
        "takes \"auto\", \"chat\", \"template\" or \"off\"",
    );
    check(
        "[prompt]\nbase_url = \"localhost:11434\"",
        "takes an http:// or https:// URL, or nothing",
    );
    check(
        "[prompt]\nextra_body = \"[1]\"",
        "takes a JSON object, or nothing",
    );
    check(
        "[prompt]\nlanguage = \"german\"",
        "takes \"same\", \"english\" or \"chinese\"",
    );
    check("[prompt]\ntimeout_s = 0", "takes 1 to 300");

    let variables = [
        ("KINORA_PROMPT__BASE_URL", "https://api.openai.com/v1"),
        ("KINORA_PROMPT__MODEL", "gpt"),
        ("KINORA_PROMPT__API_KEY", "sk-secret"),
        ("KINORA_PROMPT__LANGUAGE", "english"),
        ("KINORA_PROMPT__EXTRA_BODY", "{\"reasoning_effort\": \"low\"}"),
    ];
    let config = load(None, &variables, &[]).unwrap();
    assert!(!format!("{config:?}").contains("sk-secret"));
    let PromptConfig::Chat(options) = config.prompt else {
        panic!("no chat model")
    };
    assert_eq!(options.key, Secret::new("sk-secret".to_owned()));
    assert_eq!(options.language, kinora_engine::Language::English);
    assert_eq!(options.extra["reasoning_effort"], "low");
}

#[test]
fn a_refused_key_is_not_shown() {
    for (file, told) in [
        (
            "[blobs]\nsecret_access_key = \"my secret\"",
            "blobs.secret_access_key = \" (not shown)\"",
        ),
        (
            "[data]\ndatabase = \"mysql://kinora:my secret@db/videos\"",
            "data.database = \" (not shown)\"",
        ),
        (
            "[dashscope]\nkey = \"my secret\"",
            "dashscope.key = \" (not shown)\"",
        ),
        (
            "[videos_upstream]\nkey = 31337",
            "videos_upstream.key = \" (not shown)\"",
        ),
        (
            "[prompt]\napi_key = \"my secret\"",
            "prompt.api_key = \" (not shown)\"",
        ),
    ] {
        let error = load(Some(file), &[], &[]).unwrap_err();
        assert!(error.contains(told), "{error}");
        assert!(
            !error.contains("my secret") && !error.contains("31337"),
            "{error}"
        );
    }
}

#[test]
fn later_sources_win() {
    let check =
        |file, environment: &[(&str, &str)], flags: &[(&'static str, &'static str, &str)], expected| {
            let config = load(file, environment, flags).unwrap();
            assert_eq!(config.server.listen.port(), expected);
        };
    let file = Some("[server]\nlisten = \"127.0.0.1:1\"");
    let variable = [("KINORA_SERVER__LISTEN", "127.0.0.1:2")];
    let flag = [("--listen", "server.listen", "127.0.0.1:3")];
    check(None, &[], &[], 8080);
    check(file, &[], &[], 1);
    check(file, &variable, &[], 2);
    check(file, &variable, &flag, 3);
    check(None, &[], &flag, 3);
    // Such variables are set for pods that run beside a service of our name.
    check(
        None,
        &[
            ("KINORA_PORT_8080_TCP", "tcp://10.0.0.1"),
            ("KINORA_API_KEY", "x"),
            ("OTHER__KEY", "x"),
        ],
        &[],
        8080,
    );
}

#[test]
fn text_becomes_what_the_key_is() {
    let variables = [
        ("KINORA_QUEUE__LEASE_MS", " 3000 "),
        ("KINORA_MEDIA__ALLOW_HOSTS", "media.local, 127.0.0.1:9000"),
        ("KINORA_SERVER__PUBLIC_URL", "https://videos.example/"),
        ("KINORA_ENGINE__NAME", "test-pattern"),
        ("KINORA_DATA__RETENTION_DAYS", "0"),
    ];
    let config = load(None, &variables, &[]).unwrap();
    assert_eq!(config.queue.lease_ms, 3000);
    assert_eq!(
        config.media.allow_hosts,
        AllowedHosts::parse(["media.local", "127.0.0.1:9000"]).unwrap()
    );
    assert_eq!(
        config.server.public_url.as_deref(),
        Some("https://videos.example")
    );
    assert_eq!(config.engine.name, EngineName::TestPattern);
    assert_eq!(config.data.retention_ms, None);
    let config = load(None, &[("KINORA_MEDIA__ALLOW_HOSTS", "")], &[]).unwrap();
    assert_eq!(config.media.allow_hosts, AllowedHosts::default());
}

#[test]
fn loras_are_a_path_a_scale_and_an_expert() {
    let lora = |path: &str, scale, expert| LoraOptions {
        path: path.into(),
        scale,
        expert,
    };
    let given = "a.safetensors,b:c.safetensors:0.5,d:high_noise,e:-1:low_noise";
    let config = load(None, &[], &[("--lora", "engine.loras", given)]).unwrap();
    assert_eq!(
        config.engine.loras,
        [
            lora("a.safetensors", 1.0, None),
            lora("b:c.safetensors", 0.5, None),
            lora("d", 1.0, Some(ExpertName::HighNoise)),
            lora("e", -1.0, Some(ExpertName::LowNoise)),
        ]
    );
    let file = "[engine]\ntimesteps = [1000, 750.5, 500]";
    assert_eq!(
        load(Some(file), &[], &[]).unwrap().engine.timesteps,
        [1000.0, 750.5, 500.0]
    );
    let variables = [("KINORA_ENGINE__TIMESTEPS", "1000, 250")];
    assert_eq!(
        load(None, &variables, &[]).unwrap().engine.timesteps,
        [1000.0, 250.0]
    );
    for wrong in ["a:11", ":1", "a:NaN"] {
        let error = load(None, &[], &[("--lora", "engine.loras", wrong)]).unwrap_err();
        assert!(
            error.contains("given as --lora: takes a list of LoRAs"),
            "{error}"
        );
    }
    for wrong in ["[500, 750]", "[1000, 0]", "[1001]", "[\"x\"]"] {
        let error = load(Some(&format!("[engine]\ntimesteps = {wrong}")), &[], &[]).unwrap_err();
        assert!(
            error.contains("takes a list of falling numbers, 1 to 1000"),
            "{error}"
        );
    }
}

#[test]
fn refusals_name_key_value_source_and_what_is_taken() {
    let check = |file, environment: &[(&str, &str)], expected: &str| {
        let error = load(file, environment, &[]).expect_err(expected);
        assert!(error.contains(expected), "{error}\ndoes not contain\n{expected}");
    };
    check(
        Some("[server]\nlisten = \"nonsense\""),
        &[],
        "server.listen = \"nonsense\" in kinora.toml: takes an address with a port, such as 127.0.0.1:8080",
    );
    check(
        Some("[server]\nlisten = 8080"),
        &[],
        "server.listen = 8080 in kinora.toml: takes an address",
    );
    check(
        Some("[server]\nlistne = \"x\""),
        &[],
        "server.listne in kinora.toml: is no key; [server] takes",
    );
    check(
        Some("[sever]\nlisten = \"x\""),
        &[],
        "sever.listen in kinora.toml: is no key; the sections are [blobs], [dashscope],",
    );
    check(
        Some("listen = \"x\""),
        &[],
        "listen in kinora.toml: is no key; the sections are",
    );
    check(
        Some("[server.listen]\nport = 1"),
        &[],
        "server.listen = { port = 1 } in kinora.toml: takes",
    );
    check(Some("[server"), &[], "kinora.toml is no TOML");
    check(
        None,
        &[("KINORA_QUEUE__LEASE_MS", "soon")],
        "queue.lease_ms = \"soon\" in the environment variable KINORA_QUEUE__LEASE_MS: takes 2000 to 3600000",
    );
    check(
        None,
        &[("KINORA_QUEUE__LEASE_MS", "-1")],
        "queue.lease_ms = -1 in the environment",
    );
    check(
        None,
        &[("KINORA_QUEUE__LEAS_MS", "1")],
        "queue.leas_ms in the environment variable KINORA_QUEUE__LEAS_MS",
    );
    check(None, &[("KINORA_ENGINE__NAME", "")], "engine.name = \"\"");
    check(
        None,
        &[("KINORA_ENGINE__GUIDANCE", "0.5")],
        "engine.guidance = \"0.5\"",
    );
    check(
        None,
        &[("KINORA_ENGINE__QUANTIZATION", "int4")],
        "engine.quantization = \"int4\" in the environment variable KINORA_ENGINE__QUANTIZATION: takes \"none\", \"bf16\" or \"int8\"",
    );
    check(
        None,
        &[("KINORA_ROUTES__FRAMES", "engine,engine")],
        "routes.frames = [\"engine\", \"engine\"]",
    );
    check(
        None,
        &[("KINORA_VIDEOS_UPSTREAM__URL", "videos.local")],
        "videos_upstream.url = \"videos.local\"",
    );
    check(
        None,
        &[("KINORA_VIDEOS_UPSTREAM__SIZES", "832×480")],
        "takes a list of sizes, as \"1280x720\"",
    );
    check(None, &[("KINORA_LOG__LEVEL", "loud=")], "log.level = \"loud=\"");
    check(
        None,
        &[("KINORA_MEDIA__ALLOW_HOSTS", "http://x")],
        "media.allow_hosts = [\"http://x\"]",
    );
    check(
        None,
        &[("KINORA_SERVER__PUBLIC_URL", "videos.example")],
        "server.public_url = \"videos.example\"",
    );
    check(
        None,
        &[("KINORA_RATE_LIMITS__CREATE_PER_MINUTE", "0")],
        "takes 1 to 100000000",
    );
}

#[test]
fn log_filters() {
    let check = |text, expected| assert_eq!(is_log_filter(text), expected, "{text}");
    for taken in [
        "info",
        "WARN",
        "off",
        "info,kinora_worker=debug",
        "kinora_server::http=trace,error",
    ] {
        check(taken, true);
    }
    for refused in [
        "",
        "verbose",
        "loud=",
        "info,",
        "=info",
        "kinora=loud",
        "info kinora=debug",
        "3",
    ] {
        check(refused, false);
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let error = load(
        Some("[server]\nlistne = 1\nlisten = 2\n[log]\nformat = \"xml\""),
        &[("KINORA_WORKER__SLOTS", "many")],
        &[("--engine", "engine.name", "nothing")],
    )
    .unwrap_err();
    for part in [
        "server.listne",
        "server.listen = 2",
        "log.format",
        "worker.slots",
        "given as --engine",
    ] {
        assert!(error.contains(part), "{error}\ndoes not contain {part}");
    }
    assert_eq!(error.lines().count(), 6, "{error}");
}

#[test]
fn a_missing_file_is_an_error() {
    let error = Config::load(Some(Path::new("/nowhere/kinora.toml")), [], []).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the configuration /nowhere/kinora.toml cannot be read"
    );
}
