-- Workers that have announced themselves and not taken leave. One that is silent for longer than its leases are is
-- taken for dead, and its row is removed.
CREATE TABLE workers (
    id         TEXT    PRIMARY KEY,           -- wrk_…
    name       TEXT    NOT NULL,              -- what people call it; several may share one
    version    TEXT    NOT NULL,              -- of its program
    offers     TEXT    NOT NULL,              -- JSON, what it can run
    slots      INTEGER NOT NULL CHECK (slots >= 0), -- generations that it runs at once
    hardware   TEXT    NOT NULL,              -- JSON, what it runs on
    started_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('working', 'draining'))
) STRICT, WITHOUT ROWID;

-- What was ever announced, as it was announced last: a while after its last worker has gone it is offered still.
CREATE TABLE offers (
    id      TEXT    PRIMARY KEY,
    offer   TEXT    NOT NULL,                 -- JSON
    seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Attempts, from the claim to the end of the lease: who works how long on what. Forgotten after a while.
CREATE TABLE attempts (
    generation TEXT    NOT NULL REFERENCES generations (id),
    token      INTEGER NOT NULL,              -- of the lease
    offer      TEXT    NOT NULL,
    worker     TEXT    NOT NULL,              -- wrk_…
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,                       -- NULL while it runs
    outcome    TEXT    CHECK (outcome IN ('succeeded', 'failed', 'canceled', 'retried')), -- what became of the generation; retried: it waits again
    PRIMARY KEY (generation, token),
    CHECK ((ended_at IS NULL) = (outcome IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX attempts_ended ON attempts (ended_at, offer, outcome) WHERE ended_at IS NOT NULL;
-- The latest of an offer that went well, for their median.
CREATE INDEX attempts_succeeded ON attempts (offer, ended_at, started_at) WHERE outcome = 'succeeded';

-- Requests of keys, where several nodes count together: when the bucket of a key will be full again.
CREATE TABLE rates (
    key     TEXT    NOT NULL,                 -- key_…
    kind    TEXT    NOT NULL,                 -- what is counted
    full_at INTEGER NOT NULL,                 -- microseconds since the epoch
    PRIMARY KEY (key, kind)
) STRICT, WITHOUT ROWID;

CREATE INDEX rates_full ON rates (full_at);
