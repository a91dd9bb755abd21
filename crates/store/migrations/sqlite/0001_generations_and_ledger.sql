-- Everything Kinora keeps, as of its first version. Times are milliseconds since the Unix epoch, credits are
-- whole numbers, ids are the text that people see (gen_…, acc_…).

-- Whose generations, keys and credits. The counters are caches of what the other tables say, written in the same
-- transactions and compared by the audit, so that caps and balances cost the same at any number of generations.
CREATE TABLE accounts (
    position          INTEGER PRIMARY KEY,            -- order of creation
    id                TEXT    NOT NULL UNIQUE,        -- acc_…
    name              TEXT    NOT NULL UNIQUE,        -- what the operator calls it
    running_max       INTEGER CHECK (running_max >= 0), -- own cap on running generations; NULL takes the configured one
    created_at        INTEGER NOT NULL,
    queued            INTEGER NOT NULL DEFAULT 0 CHECK (queued >= 0),            -- its generations with status queued
    running           INTEGER NOT NULL DEFAULT 0 CHECK (running >= 0),           -- its generations with status running
    held_subscription INTEGER NOT NULL DEFAULT 0 CHECK (held_subscription >= 0), -- holds of its live generations …
    held_permanent    INTEGER NOT NULL DEFAULT 0 CHECK (held_permanent >= 0)     -- … by bucket
) STRICT;

-- API keys. The secret itself is not here.
CREATE TABLE keys (
    position   INTEGER PRIMARY KEY,                   -- order of creation
    id         TEXT    NOT NULL UNIQUE,               -- key_…
    account    TEXT    NOT NULL REFERENCES accounts (id),
    name       TEXT    NOT NULL,                      -- what people call it
    hash       BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32), -- SHA-256 of the secret
    scope      TEXT    NOT NULL CHECK (scope IN ('full', 'read')),
    created_at INTEGER NOT NULL,
    revoked_at INTEGER                                -- NULL while it is good
) STRICT;

-- Secrets that every node must share, such as the one that signs media URLs.
CREATE TABLE secrets (
    name   TEXT PRIMARY KEY,
    secret BLOB NOT NULL CHECK (length(secret) = 32)
) STRICT, WITHOUT ROWID;

-- Generations, from submission for ever.
CREATE TABLE generations (
    position             INTEGER PRIMARY KEY AUTOINCREMENT, -- order of acceptance: first come, first served
    id                   TEXT    NOT NULL UNIQUE,           -- gen_…
    account              TEXT    NOT NULL REFERENCES accounts (id),
    model                TEXT    NOT NULL,                  -- the wire's model it was posted to
    offer                TEXT    NOT NULL,                  -- the engine it waits for
    spec                 TEXT    NOT NULL,                  -- JSON, the row type SpecRow
    priority             INTEGER NOT NULL,                  -- higher runs earlier
    status               TEXT    NOT NULL CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'canceled')),
    -- What clients are shown: a generation that has once run is never shown as queued again.
    phase                TEXT    NOT NULL GENERATED ALWAYS AS
                         (CASE WHEN status = 'queued' AND started_at IS NOT NULL THEN 'running' ELSE status END) VIRTUAL,
    claimable            INTEGER NOT NULL CHECK (claimable IN (0, 1)), -- queued, due, and counted in its lane
    attempts             INTEGER NOT NULL CHECK (attempts >= 0),
    not_before           INTEGER NOT NULL,                  -- a retry is not claimable before this
    lease_worker         TEXT,                              -- wrk_… that has it
    lease_token          INTEGER NOT NULL DEFAULT 0,        -- of the latest lease; increases with each claim
    lease_expires_at     INTEGER,
    cancel_requested     INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
    stage                TEXT    NOT NULL,                  -- what is being done
    fraction             REAL    NOT NULL CHECK (fraction BETWEEN 0 AND 1), -- how much of the whole is behind
    held_subscription    INTEGER NOT NULL CHECK (held_subscription >= 0),   -- what was set aside at submission …
    held_permanent       INTEGER NOT NULL CHECK (held_permanent >= 0),      -- … by bucket
    charged_subscription INTEGER NOT NULL DEFAULT 0 CHECK (charged_subscription BETWEEN 0 AND held_subscription),
    charged_permanent    INTEGER NOT NULL DEFAULT 0 CHECK (charged_permanent BETWEEN 0 AND held_permanent),
    event_seq            INTEGER NOT NULL CHECK (event_seq >= 1), -- counts every change that a client can see
    created_at           INTEGER NOT NULL,
    started_at           INTEGER,                           -- first claim
    finished_at          INTEGER,                           -- end, whichever
    deadline             INTEGER NOT NULL,                  -- it fails when live at this moment
    webhook_url          TEXT,                              -- where the client wants to be told
    has_media            INTEGER NOT NULL CHECK (has_media IN (0, 1)),               -- blob_refs has rows of it
    media_removed        INTEGER NOT NULL DEFAULT 0 CHECK (media_removed IN (0, 1)), -- the client or retention removed them
    result               TEXT,                              -- JSON, the row type SuccessRow
    failure_code         TEXT,
    failure_message      TEXT,

    -- Each status has exactly the columns that exist in it.
    CHECK (claimable = 0 OR status = 'queued'),
    CHECK (cancel_requested = 0 OR status = 'running'),
    CHECK ((status = 'running') = (lease_worker IS NOT NULL)),
    CHECK ((status = 'running') = (lease_expires_at IS NOT NULL)),
    CHECK (status <> 'running' OR (started_at IS NOT NULL AND attempts >= 1)),
    CHECK ((status IN ('succeeded', 'failed', 'canceled')) = (finished_at IS NOT NULL)),
    CHECK ((status = 'succeeded') = (result IS NOT NULL)),
    CHECK ((status = 'failed') = (failure_code IS NOT NULL)),
    CHECK ((failure_code IS NULL) = (failure_message IS NULL)),
    CHECK (status = 'succeeded' OR (charged_subscription = 0 AND charged_permanent = 0)),
    CHECK (media_removed = 0 OR has_media = 0)
) STRICT;

-- Lists by account and phase, newest first.
CREATE INDEX generations_by_phase ON generations (account, phase, id);
-- The oldest of a lane.
CREATE INDEX generations_claimable ON generations (account, priority, offer, position) WHERE claimable = 1;
-- What time has broken, for recovery.
CREATE INDEX generations_leased ON generations (lease_expires_at) WHERE status = 'running';
CREATE INDEX generations_live ON generations (deadline) WHERE finished_at IS NULL;
CREATE INDEX generations_delayed ON generations (not_before) WHERE status = 'queued' AND claimable = 0;
-- What retention may remove.
CREATE INDEX generations_with_media ON generations (finished_at) WHERE has_media = 1 AND finished_at IS NOT NULL;

-- Queues by offer, priority and account. A claim looks at the head of each lane and not at what waits behind it.
CREATE TABLE lanes (
    offer    TEXT    NOT NULL,
    priority INTEGER NOT NULL,
    account  TEXT    NOT NULL REFERENCES accounts (id),
    queued   INTEGER NOT NULL CHECK (queued >= 0), -- claimable generations in it
    turn     INTEGER NOT NULL,                     -- the lane with the lowest is next
    PRIMARY KEY (account, priority, offer)
) STRICT, WITHOUT ROWID;

CREATE INDEX lanes_in_turn ON lanes (offer, priority DESC, turn) WHERE queued > 0;

-- Numbers that only grow.
CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO counters VALUES ('turn', 0); -- the turn given last

-- Changes of status, for clients that subscribe again.
CREATE TABLE status_events (
    generation TEXT    NOT NULL REFERENCES generations (id),
    seq        INTEGER NOT NULL,              -- the generation's event_seq at the change
    phase      TEXT    NOT NULL,              -- the phase it led to
    stage      TEXT    NOT NULL,
    fraction   REAL    NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (generation, seq)
) STRICT, WITHOUT ROWID;

-- Credits given once, in one bucket, with or without an end.
CREATE TABLE grants (
    id         TEXT    PRIMARY KEY,           -- grn_…
    account    TEXT    NOT NULL REFERENCES accounts (id),
    bucket     TEXT    NOT NULL CHECK (bucket IN ('subscription', 'permanent')),
    expires_at INTEGER,                       -- NULL is never
    given      INTEGER NOT NULL CHECK (given >= 0), -- how many there were at first
    entry      TEXT    NOT NULL,              -- the id of the ledger entry that gave it, written right after it
    available  INTEGER NOT NULL CHECK (available >= 0) -- cache: the sum of its lines
) STRICT, WITHOUT ROWID;

CREATE INDEX grants_to_spend ON grants (account) WHERE available > 0;
CREATE INDEX grants_to_expire ON grants (expires_at) WHERE available > 0 AND expires_at IS NOT NULL;

-- The ledger: what happened to an account's credits, only ever appended to.
CREATE TABLE ledger_entries (
    position   INTEGER PRIMARY KEY AUTOINCREMENT, -- order in time; the cursor of lists
    id         TEXT    NOT NULL UNIQUE,           -- ent_…
    account    TEXT    NOT NULL REFERENCES accounts (id),
    type       TEXT    NOT NULL CHECK (type IN ('grant', 'purchase', 'hold', 'capture', 'release', 'expire', 'adjust')),
    generation TEXT    REFERENCES generations (id), -- of holds, captures and releases
    note       TEXT,                              -- the operator's words
    created_at INTEGER NOT NULL,
    CHECK ((type IN ('hold', 'capture', 'release')) = (generation IS NOT NULL))
) STRICT;

CREATE INDEX ledger_entries_by_account ON ledger_entries (account, position);
-- A generation has one hold, and in the end one capture or one release.
CREATE UNIQUE INDEX ledger_entries_hold ON ledger_entries (generation) WHERE type = 'hold';
CREATE UNIQUE INDEX ledger_entries_settled ON ledger_entries (generation) WHERE type IN ('capture', 'release');

-- What an entry moves on which grant; negative takes away.
CREATE TABLE ledger_lines (
    entry    INTEGER NOT NULL REFERENCES ledger_entries (position),
    ordinal  INTEGER NOT NULL,                -- a surplus goes back in the opposite order
    grant_id TEXT    NOT NULL REFERENCES grants (id),
    amount   INTEGER NOT NULL,
    PRIMARY KEY (entry, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER ledger_entries_stay BEFORE UPDATE ON ledger_entries
BEGIN SELECT RAISE(ABORT, 'a ledger entry is never updated'); END;
CREATE TRIGGER ledger_entries_remain BEFORE DELETE ON ledger_entries
BEGIN SELECT RAISE(ABORT, 'a ledger entry is never deleted'); END;
CREATE TRIGGER ledger_lines_stay BEFORE UPDATE ON ledger_lines
BEGIN SELECT RAISE(ABORT, 'a ledger line is never updated'); END;
CREATE TRIGGER ledger_lines_remain BEFORE DELETE ON ledger_lines
BEGIN SELECT RAISE(ABORT, 'a ledger line is never deleted'); END;

-- Clients' promises that requests under one key are one request.
CREATE TABLE idempotency (
    account    TEXT    NOT NULL REFERENCES accounts (id),
    scope      TEXT    NOT NULL,              -- method and path
    key        TEXT    NOT NULL,
    payload    BLOB    NOT NULL,              -- hash of the canonical payload
    generation TEXT    NOT NULL REFERENCES generations (id), -- what the first request led to
    created_at INTEGER NOT NULL,
    PRIMARY KEY (account, scope, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_by_age ON idempotency (created_at);

-- Which blobs a generation needs; a blob that nobody needs is swept.
CREATE TABLE blob_refs (
    generation TEXT NOT NULL REFERENCES generations (id),
    role       TEXT NOT NULL,                 -- the request member of an input, or video[0], poster[0] …
    hash       BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (generation, role)
) STRICT, WITHOUT ROWID;

CREATE INDEX blob_refs_by_hash ON blob_refs (hash);
