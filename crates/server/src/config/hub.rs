//! Where checkpoints come from and lie: by the variables of Hugging Face's own programs, so that all share one cache and one token.
//!
//! Reference: huggingface_hub `constants.py`.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use kinora_hub::{Cache, HubOptions, Token};

/// The Hub, and the cache of what came from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubConfig {
    /// The Hub's address.
    endpoint: String,
    token: Option<Token>,
    /// Where a token may be that was left by a log-in.
    token_file: Option<PathBuf>,
    /// The folder of the cache.
    cache: PathBuf,
    silence: Duration,
    /// Whether the Hub must not be asked.
    pub is_offline: bool,
}

const ENDPOINT: &str = "https://huggingface.co";
/// Their programs take 10 s; a mirror on another continent needs more.
const SILENCE: Duration = Duration::from_secs(30);
const FIRST_WAIT: Duration = Duration::from_secs(1);

impl HubConfig {
    /// `data_dir` is where the cache is for who has no home.
    pub(super) fn read(environment: &[(OsString, OsString)], data_dir: &Path) -> HubConfig {
        let value = |name: &str| -> Option<String> {
            let (_, value) = environment.iter().find(|(variable, _)| variable == name)?;
            let value = value.to_str()?.trim();
            (!value.is_empty()).then(|| value.to_owned())
        };
        let is_set = |name: &str| {
            let value = value(name).unwrap_or_default().to_uppercase();
            ["1", "ON", "YES", "TRUE"].contains(&value.as_str())
        };
        let user = value("HOME").map(PathBuf::from);
        let path = |name: &str| -> Option<PathBuf> {
            let path = value(name)?;
            Some(match (path.strip_prefix("~/"), &user) {
                (Some(rest), Some(user)) => user.join(rest),
                _ => path.into(),
            })
        };
        let caches = path("XDG_CACHE_HOME").or_else(|| Some(user.as_ref()?.join(".cache")));
        let caches = caches.unwrap_or_else(|| data_dir.to_owned());
        let home = path("HF_HOME").unwrap_or_else(|| caches.join("huggingface"));
        let cache = path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE"));
        let has_token = !is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN");
        let token = value("HF_TOKEN").or_else(|| value("HUGGING_FACE_HUB_TOKEN"));
        let token_file = path("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
        let silence: Option<u64> = value("HF_HUB_DOWNLOAD_TIMEOUT").and_then(|seconds| seconds.parse().ok());
        HubConfig {
            endpoint: value("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned()),
            token: token.map(Token::new).filter(|_| has_token),
            token_file: has_token.then_some(token_file),
            cache: cache.unwrap_or_else(|| home.join("hub")),
            silence: silence.filter(|s| *s > 0).map_or(SILENCE, Duration::from_secs),
            is_offline: is_set("HF_HUB_OFFLINE"),
        }
    }

    /// The cache.
    pub fn cache(&self) -> Cache {
        Cache::new(self.cache.clone())
    }

    /// How the Hub is asked. The token of a log-in is read now: only who asks needs it.
    pub fn options(&self) -> HubOptions {
        let left = || {
            let text = fs::read_to_string(self.token_file.as_ref()?).ok()?;
            let text = text.trim();
            (!text.is_empty()).then(|| Token::new(text.to_owned()))
        };
        HubOptions {
            endpoint: self.endpoint.clone(),
            token: self.token.clone().or_else(left),
            silence: self.silence,
            first_wait: FIRST_WAIT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(environment: &[(&str, &str)]) -> HubConfig {
        let environment: Vec<(OsString, OsString)> = environment
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        HubConfig::read(&environment, Path::new("data"))
    }

    #[test]
    fn the_cache_is_where_others_look_for_it() {
        let check = |environment: &[(&str, &str)], expected: &str| {
            assert_eq!(
                read(environment).cache().root(),
                Path::new(expected),
                "{environment:?}"
            );
        };
        check(&[], "data/huggingface/hub");
        check(&[("HOME", "/u")], "/u/.cache/huggingface/hub");
        check(&[("HOME", "/u"), ("XDG_CACHE_HOME", "/c")], "/c/huggingface/hub");
        check(&[("HOME", "/u"), ("HF_HOME", "~/hf")], "/u/hf/hub");
        check(&[("HF_HOME", "/hf"), ("HUGGINGFACE_HUB_CACHE", "/old")], "/old");
        check(
            &[
                ("HF_HOME", "/hf"),
                ("HUGGINGFACE_HUB_CACHE", "/old"),
                ("HF_HUB_CACHE", "/new"),
            ],
            "/new",
        );
        check(
            &[("HOME", "/u"), ("HF_HUB_CACHE", "")],
            "/u/.cache/huggingface/hub",
        );
    }

    #[test]
    fn tokens_come_from_where_others_find_them() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("token"), "hf_left\n").unwrap();
        let home = ("HF_HOME", folder.path().to_str().unwrap());
        let token = |environment: &[(&str, &str)]| read(environment).options().token;
        let is = |text: &str| Some(Token::new(text.to_owned()));
        assert_eq!(token(&[home]), is("hf_left"));
        assert_eq!(token(&[home, ("HF_TOKEN", "hf_set")]), is("hf_set"));
        assert_eq!(
            token(&[
                home,
                ("HF_TOKEN", "hf_set"),
                ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
            ]),
            None
        );
        assert_eq!(token(&[home, ("HF_TOKEN_PATH", "/nowhere/token")]), None);
        let config = read(&[("HF_TOKEN", "hf_set"), ("HF_ENDPOINT", "https://mirror.example")]);
        assert!(!format!("{config:?}").contains("hf_set"));
        assert_eq!(config.options().endpoint, "https://mirror.example");
    }
}
