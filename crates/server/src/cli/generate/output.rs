//! Where the video goes: it appears whole or not at all.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use kinora_domain::Seed;
use tempfile::TempDir;

use super::super::failure::{Failure, Outcome, failed};

/// A folder beside the place of the video, where it grows; dropped, with all that is in it, whatever happens.
pub(in crate::cli) struct Output {
    folder: TempDir,
    target: Target,
}

enum Target {
    /// Named by the person: what is there is replaced.
    Given(PathBuf),
    /// Named after the seed: what is there stays.
    OfSeed(PathBuf),
}

impl Output {
    /// On the same disk as the video's place, so that moving it there is one step.
    pub(in crate::cli) fn create(given: Option<PathBuf>, seed: Seed) -> Outcome<Output> {
        let target = match given {
            Some(path) => Target::Given(path),
            None => Target::OfSeed(PathBuf::from(format!("kinora-{}.mp4", seed.get()))),
        };
        let beside = folder_of(target.path());
        // By its full name: media children work from another directory.
        let folder = beside
            .canonicalize()
            .and_then(|full| tempfile::Builder::new().prefix(".kinora-").tempdir_in(full))
            .map_err(failed(format!("nothing can be written to {}", beside.display())))?;
        Ok(Output { folder, target })
    }

    /// For files on the way.
    pub(in crate::cli) fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// Where the video is written meanwhile.
    pub(in crate::cli) fn part(&self) -> PathBuf {
        self.folder.path().join("clip.mp4")
    }

    /// The video is complete: moves it to its place.
    pub(in crate::cli) fn keep(self) -> Outcome<PathBuf> {
        let place = match &self.target {
            Target::Given(path) => path.clone(),
            Target::OfSeed(first) => claim_free_name(first)?,
        };
        fs::rename(self.part(), &place).map_err(failed(format!("{} cannot be written", place.display())))?;
        Ok(place)
    }
}

impl Target {
    fn path(&self) -> &Path {
        match self {
            Target::Given(path) | Target::OfSeed(path) => path,
        }
    }
}

/// The folder that a file is in.
pub(in crate::cli) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    }
}

/// The first of `kinora-7.mp4`, `kinora-7-2.mp4`, `kinora-7-3.mp4` … that is free, made so that it stays ours.
fn claim_free_name(first: &Path) -> Outcome<PathBuf> {
    let stem = first
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let others = (2..1000).map(|n| PathBuf::from(format!("{stem}-{n}.mp4")));
    for path in std::iter::once(first.to_owned()).chain(others) {
        match File::create_new(&path) {
            Ok(_) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(format!("{} cannot be written", path.display()))(error)),
        }
    }
    Err(Failure::failed(format!(
        "{} and its successors are taken; give --output",
        first.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.mp4");
        let seed = Seed::from_entropy(7);
        drop(Output::create(Some(path.clone()), seed).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

        for content in ["first", "second"] {
            let output = Output::create(Some(path.clone()), seed).unwrap();
            fs::write(output.part(), content).unwrap();
            assert_eq!(output.keep().unwrap(), path);
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
