//! Accounts, keys, secrets.

use std::sync::Arc;

use kinora_domain::{AccountId, KeyId};
use kinora_store::{Account, Key, Scope, StoreError};

use super::world::World;

pub(crate) async fn accounts_are_found_by_name_and_id(world: Arc<World>) {
    let store = &world.store;
    let account = |name: &str, running_max| Account {
        id: AccountId::new(world.now(), world.draw()),
        name: name.to_owned(),
        running_max,
        created_at: world.now(),
    };
    let (alice, bob) = (account("alice", None), account("Alice", Some(0)));
    store.create_account(alice.clone()).await.unwrap();
    store.create_account(bob.clone()).await.unwrap();

    let taken = store.create_account(account("alice", Some(1))).await;
    assert!(matches!(taken, Err(StoreError::NameTaken(name)) if name == "alice"));
    assert_eq!(store.account_by_name("alice").await.unwrap(), Some(alice.clone()));
    assert_eq!(store.account_by_name("Alice").await.unwrap(), Some(bob.clone()));
    assert_eq!(store.account_by_name("al").await.unwrap(), None);
    assert_eq!(store.account(bob.id).await.unwrap(), Some(bob.clone()));
    let nobody = AccountId::new(world.now(), world.draw());
    assert_eq!(store.account(nobody).await.unwrap(), None);
    assert_eq!(store.accounts().await.unwrap(), [alice, bob]);
    store.ping().await.unwrap();
}

pub(crate) async fn keys_are_found_by_hash_until_revoked(world: Arc<World>) {
    let store = &world.store;
    let (alice, bob) = (world.account("alice").await, world.account("bob").await);
    let key = |account, byte: u8, scope| Key {
        id: KeyId::new(world.now(), world.draw()),
        account,
        name: format!("key {byte}"),
        hash: [byte; 32],
        scope,
        created_at: world.now(),
        revoked_at: None,
    };
    let keys = [
        key(alice, 1, Scope::Full),
        key(bob, 2, Scope::Full),
        key(alice, 3, Scope::Read),
    ];
    for key in &keys {
        store.create_key(key.clone()).await.unwrap();
    }
    let nobody = AccountId::new(world.now(), world.draw());
    let unknown = store.create_key(key(nobody, 4, Scope::Full)).await;
    assert!(matches!(unknown, Err(StoreError::UnknownAccount(id)) if id == nobody));
    assert!(
        store.create_key(key(bob, 1, Scope::Full)).await.is_err(),
        "one secret, two keys"
    );

    for key in &keys {
        assert_eq!(store.key_by_hash(key.hash).await.unwrap().as_ref(), Some(key));
    }
    assert_eq!(store.key_by_hash([4; 32]).await.unwrap(), None);
    assert_eq!(store.keys(None).await.unwrap(), keys);
    assert_eq!(
        store.keys(Some(alice)).await.unwrap(),
        [keys[0].clone(), keys[2].clone()]
    );

    let revoked_at = world.now();
    assert!(store.revoke_key(keys[0].id, revoked_at).await.unwrap());
    world.wait_ms(5);
    assert!(!store.revoke_key(keys[0].id, world.now()).await.unwrap());
    assert!(
        !store
            .revoke_key(KeyId::new(world.now(), 99), world.now())
            .await
            .unwrap()
    );
    let revoked = store.key_by_hash([1; 32]).await.unwrap().unwrap();
    assert_eq!(revoked.revoked_at, Some(revoked_at));
}

pub(crate) async fn a_secret_is_made_once(world: Arc<World>) {
    let store = &world.store;
    assert_eq!(store.secret("media", [1; 32]).await.unwrap(), [1; 32]);
    assert_eq!(store.secret("media", [2; 32]).await.unwrap(), [1; 32]);
    assert_eq!(store.secret("webhooks", [3; 32]).await.unwrap(), [3; 32]);
    let racers = (10..30).map(|byte| store.secret("race", [byte; 32]));
    let secrets = futures_util::future::try_join_all(racers).await.unwrap();
    assert!(secrets.iter().all(|secret| *secret == secrets[0]));
}
