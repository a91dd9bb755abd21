//! Every transaction and every question of the store, written once for all back ends.
//!
//! What each does stands in the modules below, as plain functions over `&dyn` [`Sql`]; which of them a method of
//! [`Store`](crate::Store) is, in [`store`], [`webhooks`] and [`fleet`]. A back end brings connections, and says when what was
//! written is safe: that is [`Backend`].
//!
//! Transactions of several nodes run at the same time on PostgreSQL. Each locks what it is about before it reads it,
//! and always in this order: the account, the generation, endpoints in the order of their positions. What belongs to an
//! account (its generations, lanes, grants and entries) is changed under the account's lock, and deliveries under
//! their endpoint's. So within an account everything happens one after the other, as it does in SQLite altogether.

mod store;

pub(crate) mod accounts;
pub(crate) mod attempts;
pub(crate) mod audit;
pub(crate) mod claim;
pub(crate) mod endpoints;
mod fleet;
pub(crate) mod generations;
pub(crate) mod ledger;
pub(crate) mod lists;
pub(crate) mod notes;
pub(crate) mod outbox;
pub(crate) mod previews;
pub(crate) mod rates;
pub(crate) mod recover;
pub(crate) mod settle;
pub(crate) mod submit;
mod webhooks;
pub(crate) mod workers;

use crate::{
    Result, TransactionName,
    bells::{Bells, Rings},
    sql::Sql,
};

/// A database with its connections.
pub(crate) trait Backend: Send + Sync + 'static {
    /// Runs `work` in a transaction; the answer comes when it is safely kept, or rolled back. The work is under way
    /// when this returns, whether or not anyone waits for the answer. It may be run again where the database asks
    /// for that, or was lost before the commit.
    fn write<T, F>(&self, name: TransactionName, work: F) -> impl Future<Output = Result<T>> + Send
    where
        T: Send + 'static,
        F: Fn(&dyn Sql, &mut Rings) -> Result<T> + Send + 'static;

    /// Answers a question that takes next to no time.
    fn look<T, F>(&self, question: F) -> impl Future<Output = Result<T>> + Send
    where
        T: Send + 'static,
        F: Fn(&dyn Sql) -> Result<T> + Send + 'static;

    /// Answers a question that may take longer, out of what the database is at one moment.
    fn search<T, F>(&self, question: F) -> impl Future<Output = Result<T>> + Send
    where
        T: Send + 'static,
        F: Fn(&dyn Sql) -> Result<T> + Send + 'static;

    /// Who waits for what.
    fn bells(&self) -> &Bells;

    /// Fails where nothing can be written any more.
    fn check(&self) -> Result<()>;
}
