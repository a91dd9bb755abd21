-- Webhooks: where clients are told what becomes of their generations, and what they are still to be told.

-- Endpoints. One is made by hand, or by the first request that names its URL as `webhook_url`.
CREATE TABLE webhook_endpoints (
    position        INTEGER PRIMARY KEY,        -- order of creation
    id              TEXT    NOT NULL UNIQUE,    -- whe_…
    account         TEXT    NOT NULL REFERENCES accounts (id),
    url             TEXT    NOT NULL,
    by_request      INTEGER NOT NULL CHECK (by_request IN (0, 1)), -- of a request's webhook_url: not listed
    events          TEXT    NOT NULL,           -- phases it is told of, each between spaces; empty is all
    description     TEXT    NOT NULL,
    enabled         INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    gone            INTEGER NOT NULL DEFAULT 0 CHECK (gone IN (0, 1)), -- it answered 410, which disabled it
    removed         INTEGER NOT NULL DEFAULT 0 CHECK (removed IN (0, 1)), -- its log is still to be forgotten
    secret          BLOB    CHECK (length(secret) = 32), -- NULL: the account's signing secret
    previous_secret BLOB    CHECK (length(previous_secret) = 32),
    previous_until  INTEGER,                    -- until then both secrets sign
    held_until      INTEGER NOT NULL DEFAULT 0, -- it asked for less: nothing is sent before
    due_at          INTEGER,                    -- when the next of its deliveries may be tried; NULL: none waits
    created_at      INTEGER NOT NULL,
    CHECK ((secret IS NULL) = (by_request = 1)),
    CHECK ((previous_secret IS NULL) = (previous_until IS NULL)),
    CHECK (gone = 0 OR enabled = 0),
    CHECK (removed = 0 OR enabled = 0)
) STRICT;

CREATE INDEX webhook_endpoints_of_account ON webhook_endpoints (account, position) WHERE by_request = 0 AND removed = 0;
CREATE UNIQUE INDEX webhook_endpoints_by_url ON webhook_endpoints (account, url) WHERE by_request = 1;
CREATE INDEX webhook_endpoints_due ON webhook_endpoints (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX webhook_endpoints_to_forget ON webhook_endpoints (created_at) WHERE by_request = 1 OR removed = 1;

-- The outbox: one row for each event and endpoint, written with the change that it tells of.
CREATE TABLE webhook_deliveries (
    position   INTEGER PRIMARY KEY AUTOINCREMENT, -- order of events; the cursor of lists
    id         TEXT    NOT NULL UNIQUE,         -- dlv_…
    endpoint   INTEGER NOT NULL REFERENCES webhook_endpoints (position) ON DELETE CASCADE,
    generation TEXT    REFERENCES generations (id), -- NULL is a test
    phase      TEXT,                            -- what the generation had become
    created_at INTEGER NOT NULL,
    -- waiting: behind an earlier event of its generation that has not been tried yet; dropped: its endpoint is gone
    status     TEXT    NOT NULL CHECK (status IN ('waiting', 'pending', 'delivered', 'given_up', 'dropped')),
    tries      INTEGER NOT NULL DEFAULT 0,      -- all that were made
    failed     INTEGER NOT NULL DEFAULT 0,      -- those that failed since it was last begun: the schedule's count
    leased     INTEGER NOT NULL DEFAULT 0 CHECK (leased IN (0, 1)), -- being tried
    token      INTEGER NOT NULL DEFAULT 0,      -- of the latest lease
    wake_at    INTEGER NOT NULL,                -- when it is tried next; while leased, when the lease ends
    ended_at   INTEGER,
    CHECK ((generation IS NULL) = (phase IS NULL)),
    CHECK ((status IN ('waiting', 'pending')) = (ended_at IS NULL)),
    CHECK (leased = 0 OR status = 'pending')
) STRICT;

CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (endpoint, leased, wake_at) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_in_order ON webhook_deliveries (endpoint, generation, position)
    WHERE status IN ('waiting', 'pending');
CREATE INDEX webhook_deliveries_log ON webhook_deliveries (endpoint, position);
CREATE INDEX webhook_deliveries_ended ON webhook_deliveries (ended_at) WHERE ended_at IS NOT NULL;

-- What came of each try.
CREATE TABLE webhook_tries (
    delivery    INTEGER NOT NULL REFERENCES webhook_deliveries (position) ON DELETE CASCADE,
    number      INTEGER NOT NULL,               -- from 1
    at          INTEGER NOT NULL,
    latency_ms  INTEGER NOT NULL,
    status      INTEGER,                        -- of HTTP; NULL: there was no answer
    answer      TEXT    NOT NULL,               -- the first bytes of its body
    error       TEXT,                           -- why it failed
    next_try_at INTEGER,                        -- what was decided
    PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;
