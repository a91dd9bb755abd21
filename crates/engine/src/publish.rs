//! How somebody outside gets to see a file of ours: at a URL that is signed and ends.

use std::{error::Error, fmt, path::Path, sync::Arc};

/// Why a file is not published.
pub type PublishError = Box<dyn Error + Send + Sync>;

type Publish = Arc<dyn Fn(&Path, &str) -> Result<String, PublishError> + Send + Sync>;

/// Gives files a public URL. The default cannot: nothing here can be reached from outside.
#[derive(Clone, Default)]
pub struct Publisher(Option<Publish>);

impl Publisher {
    /// One that gives a file with this extension its URL.
    pub fn new(
        publish: impl Fn(&Path, &str) -> Result<String, PublishError> + Send + Sync + 'static,
    ) -> Publisher {
        Publisher(Some(Arc::new(publish)))
    }

    /// A URL at which `file` can be read for as long as a generation may take. Anybody who has it may.
    pub fn publish(&self, file: &Path, extension: &str) -> Result<String, PublishError> {
        match &self.0 {
            Some(publish) => publish(file, extension),
            None => Err("this process has no public URL".into()),
        }
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Publisher").field(&self.0.is_some()).finish()
    }
}
