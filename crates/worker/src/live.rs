//! What an installation offers, as it changes while this process runs.

use std::sync::{Arc, PoisonError, RwLock};

use kinora_domain::{Catalog, Published};

/// What is offered now. Clones are the same; reading costs no more than a lock that nobody holds for long.
#[derive(Debug, Clone, Default)]
pub struct LiveCatalog(Arc<RwLock<Arc<Published>>>);

impl LiveCatalog {
    /// As of now.
    pub fn now(&self) -> Arc<Published> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on.
    pub fn set(&self, published: Published) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(published);
    }
}

/// What never changes, and can all be run.
impl From<Catalog> for LiveCatalog {
    fn from(catalog: Catalog) -> LiveCatalog {
        let live = LiveCatalog::default();
        live.set(Published {
            living: catalog.clone(),
            catalog,
        });
        live
    }
}
