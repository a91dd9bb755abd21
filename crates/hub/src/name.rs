//! What a person calls a checkpoint: `OWNER/NAME`, with a revision or a path within it, or one of our short names.

use std::{fmt, path::PathBuf};

/// Short names of the published Wan checkpoints, and the smallest repository of each that has all of its parts: the original's text
/// encoder has 16 bits, that of most diffusers repositories 32.
const SHORT_NAMES: [(&str, &str); 13] = [
    ("wan2.1-t2v-1.3b", "Wan-AI/Wan2.1-T2V-1.3B"),
    ("wan2.1-t2v-14b", "Wan-AI/Wan2.1-T2V-14B"),
    ("wan2.1-i2v-14b-480p", "Wan-AI/Wan2.1-I2V-14B-480P"),
    ("wan2.1-i2v-14b-720p", "Wan-AI/Wan2.1-I2V-14B-720P"),
    ("wan2.1-flf2v-14b-720p", "Wan-AI/Wan2.1-FLF2V-14B-720P"),
    ("wan2.1-vace-1.3b", "Wan-AI/Wan2.1-VACE-1.3B"),
    ("wan2.1-vace-14b", "Wan-AI/Wan2.1-VACE-14B"),
    ("wan2.2-t2v-a14b", "Wan-AI/Wan2.2-T2V-A14B"),
    ("wan2.2-i2v-a14b", "Wan-AI/Wan2.2-I2V-A14B"),
    ("wan2.2-ti2v-5b", "Wan-AI/Wan2.2-TI2V-5B"),
    ("wan2.2-vace-fun-a14b", "alibaba-pai/Wan2.2-VACE-Fun-A14B"),
    ("bernini-r-1.3b", "ByteDance/Bernini-R-1.3B-Diffusers"),
    ("bernini-r", "ByteDance/Bernini-R-Diffusers"),
];

/// A repository of models, `OWNER/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository(String);

/// A state of a repository: a branch, a tag, `refs/pr/N`, or a commit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(String);

/// A repository, which state of it, and which file or folder in that, where one is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Whose.
    pub repository: Repository,
    /// The branch `main`, unless another was named.
    pub revision: Revision,
    /// Below the repository.
    pub path: Option<PathBuf>,
}

impl Repository {
    /// `None` where the text is no name that the Hub gives out.
    pub fn parse(text: &str) -> Option<Repository> {
        let (owner, name) = text.split_once('/')?;
        let is_part = |part: &str| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            (1..=96).contains(&part.len())
                && part.chars().all(is_plain)
                && !part.starts_with(['-', '.'])
                && !part.ends_with(['-', '.'])
                // "--" stands for the slash in the cache's folders.
                && !part.contains("--")
                && !part.contains("..")
        };
        (is_part(owner) && is_part(name)).then(|| Repository(text.to_owned()))
    }

    /// `OWNER/NAME`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands behind the slash.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// What its folder in the cache is called.
    pub(crate) fn folder(&self) -> String {
        format!("models--{}", self.0.replace('/', "--"))
    }

    /// The repository whose folder is called so; `None` for folders of something else.
    pub(crate) fn of_folder(folder: &str) -> Option<Repository> {
        Repository::parse(&folder.strip_prefix("models--")?.replacen("--", "/", 1))
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Revision {
    /// What is meant where nothing is said.
    pub fn main() -> Revision {
        Revision("main".to_owned())
    }

    /// `None` where the text is no name that git takes for one.
    pub fn parse(text: &str) -> Option<Revision> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.+/".contains(c);
        let is_component = |part: &str| {
            !part.is_empty() && !part.starts_with('.') && !part.ends_with('.') && !part.contains("..")
        };
        let is_revision = (1..=200).contains(&text.len())
            && text.chars().all(is_plain)
            && text.split('/').all(is_component);
        is_revision.then(|| Revision(text.to_owned()))
    }

    /// As it was named.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a commit, which never becomes another.
    pub fn is_commit(&self) -> bool {
        is_commit(&self.0)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text is the name of a commit.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl Reference {
    /// `OWNER/NAME[@REVISION][/PATH]`, or `SHORT-NAME[@REVISION][/PATH]`. `None` where the text is neither.
    pub fn parse(text: &str) -> Option<Reference> {
        let mut parts = text.splitn(2, '/');
        let (first, rest) = (parts.next()?, parts.next());
        let short = first.split('@').next()?.to_ascii_lowercase();
        let known = SHORT_NAMES.iter().find(|(name, _)| *name == short);
        let (repository, rest) = match (known, rest) {
            (Some((name, repository)), _) => ((*repository).to_owned(), &text[name.len()..]),
            (None, Some(rest)) => {
                let end = rest.find(['@', '/']).unwrap_or(rest.len());
                (format!("{first}/{}", &rest[..end]), &rest[end..])
            }
            (None, None) => return None,
        };
        let (revision, path) = match rest.strip_prefix('@') {
            None => ("main", rest.strip_prefix('/')),
            Some(rest) => {
                // A revision ends at the first slash; only those below refs/ have some of their own.
                let slashes = if rest.starts_with("refs/") { 2 } else { 0 };
                let end = rest
                    .match_indices('/')
                    .nth(slashes)
                    .map_or(rest.len(), |(at, _)| at);
                (&rest[..end], rest[end..].strip_prefix('/'))
            }
        };
        let path = match path.map(|path| path.trim_end_matches('/')) {
            None | Some("") => None,
            Some(path) => Some(relative(path)?),
        };
        Some(Reference {
            repository: Repository::parse(&repository)?,
            revision: Revision::parse(revision)?,
            path,
        })
    }
}

/// The short names, in the order of the families.
pub fn short_names() -> impl Iterator<Item = &'static str> {
    SHORT_NAMES.iter().map(|(name, _)| *name)
}

/// As it may be typed: the revision is left out where it is `main`.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if self.revision != Revision::main() {
            write!(f, "@{}", self.revision)?;
        }
        match &self.path {
            Some(path) => write!(f, "/{}", path.display()),
            None => Ok(()),
        }
    }
}

/// The path of a file below a repository, which comes from outside: `None` where it would lead out of it.
pub(crate) fn relative(text: &str) -> Option<PathBuf> {
    let is_part = |part: &str| {
        !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']) && !part.contains(char::is_control)
    };
    text.split('/').all(is_part).then(|| PathBuf::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_they_are_typed() {
        let check = |text: &str, expected: Option<(&str, &str, Option<&str>)>| {
            let read = Reference::parse(text);
            let read = read.as_ref().map(|reference| {
                let path = reference.path.as_deref().map(|path| path.to_str().unwrap());
                (reference.repository.as_str(), reference.revision.as_str(), path)
            });
            assert_eq!(read, expected, "{text}");
        };
        check("a/b", Some(("a/b", "main", None)));
        check("a/b/", Some(("a/b", "main", None)));
        check("a/b@v1.0", Some(("a/b", "v1.0", None)));
        check("a/b@refs/pr/3", Some(("a/b", "refs/pr/3", None)));
        check("a/b@refs/pr/3/x/y", Some(("a/b", "refs/pr/3", Some("x/y"))));
        check("a/b@v1/x/y.gguf", Some(("a/b", "v1", Some("x/y.gguf"))));
        check("a/b/x/y.gguf", Some(("a/b", "main", Some("x/y.gguf"))));
        check("Wan2.2-TI2V-5B", Some(("Wan-AI/Wan2.2-TI2V-5B", "main", None)));
        check(
            "wan2.2-ti2v-5b@v2/vae",
            Some(("Wan-AI/Wan2.2-TI2V-5B", "v2", Some("vae"))),
        );
        for wrong in [
            "", "a", "a/", "/b", "./b", "../b", "a/..", "a/b/../c", "a/b//c", "a/b@", "a/b@../x", "a/b@x@y",
            "~/b", "a b/c", "a--b/c", "/a/b", "wan",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn references_are_told_as_they_may_be_typed() {
        for text in ["a/b", "a/b@v1", "a/b@v1/x/y", "a/b/x"] {
            assert_eq!(Reference::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn folders_are_named_after_repositories() {
        let repository = Repository::parse("Wan-AI/Wan2.1-T2V-1.3B").unwrap();
        assert_eq!(repository.folder(), "models--Wan-AI--Wan2.1-T2V-1.3B");
        assert_eq!(Repository::of_folder(&repository.folder()), Some(repository));
        for other in ["datasets--a--b", "models--gpt2", "models--a--..", ".locks"] {
            assert_eq!(Repository::of_folder(other), None, "{other}");
        }
    }

    #[test]
    fn every_short_name_stands_for_a_repository() {
        for (name, repository) in SHORT_NAMES {
            assert_eq!(Reference::parse(name).unwrap().repository.as_str(), repository);
        }
    }
}
