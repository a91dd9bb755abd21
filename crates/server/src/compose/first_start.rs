//! What a new data directory begins with: the account `default`, a development key, and credits to play with.

use std::time::{Duration, Instant};

use kinora_domain::{AccountId, Bucket, Credits, GrantId, KeyId, Timestamp, ledger::EntryType};
use kinora_store::{Account, Key, NewGrant, Scope, Store, StoreError};

use super::now;
use crate::{config::FirstStartConfig, http::auth::hash_secret};

/// The account that commands mean when they name none.
pub const DEFAULT_ACCOUNT: &str = "default";
/// The life of the first subscription credits: a month, as subscriptions have.
const SUBSCRIPTION_MS: u64 = 30 * 24 * 3_600_000;

/// A fresh key, whose secret is known only now.
#[derive(Debug)]
pub struct FreshKey {
    /// As it is kept.
    pub key: Key,
    /// What clients send.
    pub secret: String,
}

/// How long whoever has made the account may take for the rest, before it is taken for dead.
const OTHERS_PATIENCE: Duration = Duration::from_secs(3);

/// Makes what is missing where no key has ever been made; the key's secret is the only copy there is.
///
/// A start that was cut off half-way is taken up by the next: the key, whose absence tells a first start, comes last. Where
/// several nodes start on an empty database at once, the one that makes the account makes the rest.
pub async fn prepare(store: &dyn Store, config: FirstStartConfig) -> kinora_store::Result<Option<FreshKey>> {
    if !store.keys(None).await?.is_empty() {
        return Ok(None);
    }
    let made = match store.account_by_name(DEFAULT_ACCOUNT).await? {
        Some(_) => None,
        None => match create_account(store, DEFAULT_ACCOUNT, None).await {
            Err(StoreError::NameTaken(_)) => None,
            made => Some(made?),
        },
    };
    let account = match made {
        Some(account) => account,
        None if others_make_a_key(store).await? => return Ok(None),
        None => match store.account_by_name(DEFAULT_ACCOUNT).await? {
            Some(account) => account,
            None => create_account(store, DEFAULT_ACCOUNT, None).await?,
        },
    };
    if store.entries(account.id, 1, None).await?.items.is_empty() {
        let FirstStartConfig {
            subscription,
            permanent,
        } = config;
        let ends = now().plus_ms(SUBSCRIPTION_MS);
        for (bucket, credits, expires_at) in [
            (Bucket::Subscription, subscription, Some(ends)),
            (Bucket::Permanent, permanent, None),
        ] {
            if credits > Credits(0) {
                let grant = new_grant(account.id, bucket, credits, expires_at, "for the first steps");
                store.grant(grant, now()).await?;
            }
        }
    }
    create_key(store, account.id, "development", Scope::Full)
        .await
        .map(Some)
}

/// Waits for the key of another node; false if none is made.
async fn others_make_a_key(store: &dyn Store) -> kinora_store::Result<bool> {
    let until = Instant::now() + OTHERS_PATIENCE;
    while Instant::now() < until {
        if !store.keys(None).await?.is_empty() {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(false)
}

/// Keeps a new account of that name.
pub async fn create_account(
    store: &dyn Store,
    name: &str,
    running_max: Option<u32>,
) -> kinora_store::Result<Account> {
    let created_at = now();
    let id = AccountId::new(created_at, rand::random());
    let account = Account {
        id,
        name: name.to_owned(),
        running_max,
        created_at,
    };
    store.create_account(account.clone()).await?;
    Ok(account)
}

/// Keeps a new key. The store sees no more of the secret than its hash.
pub async fn create_key(
    store: &dyn Store,
    account: AccountId,
    name: &str,
    scope: Scope,
) -> kinora_store::Result<FreshKey> {
    let created_at = now();
    // The prefix lets people and secret scanners recognise a key that has strayed.
    let secret = format!("kinora_{}", hex::encode(rand::random::<[u8; 32]>()));
    let key = Key {
        id: KeyId::new(created_at, rand::random()),
        account,
        name: name.to_owned(),
        hash: hash_secret(&secret),
        scope,
        created_at,
        revoked_at: None,
    };
    store.create_key(key.clone()).await?;
    Ok(FreshKey { key, secret })
}

/// A grant by the operator.
pub fn new_grant(
    account: AccountId,
    bucket: Bucket,
    credits: Credits,
    expires_at: Option<Timestamp>,
    note: &str,
) -> NewGrant {
    NewGrant {
        account,
        id: GrantId::new(now(), rand::random()),
        entry_type: EntryType::Grant,
        bucket,
        credits,
        expires_at,
        note: (!note.is_empty()).then(|| note.to_owned()),
    }
}
