-- Workers that have announced themselves and not taken leave. One that is silent for longer than its leases are is
-- taken for dead, and its row is removed.
CREATE TABLE workers (
    id         TEXT COLLATE "C" PRIMARY KEY,                 -- wrk_…
    name       TEXT COLLATE "C" NOT NULL,                    -- what people call it; several may share one
    version    TEXT             NOT NULL,                    -- of its program
    offers     TEXT             NOT NULL,                    -- JSON, what it can run
    slots      BIGINT           NOT NULL CHECK (slots >= 0), -- generations that it runs at once
    hardware   TEXT             NOT NULL,                    -- JSON, what it runs on
    started_at BIGINT           NOT NULL,
    seen_at    BIGINT           NOT NULL,
    state      TEXT             NOT NULL CHECK (state IN ('working', 'draining'))
);

-- What was ever announced, as it was announced last: a while after its last worker has gone it is offered still.
CREATE TABLE offers (
    id      TEXT COLLATE "C" PRIMARY KEY,
    offer   TEXT             NOT NULL,                       -- JSON
    seen_at BIGINT           NOT NULL
);

-- Attempts, from the claim to the end of the lease: who works how long on what. Forgotten after a while.
CREATE TABLE attempts (
    generation TEXT COLLATE "C" NOT NULL REFERENCES generations (id),
    token      BIGINT           NOT NULL,                    -- of the lease
    offer      TEXT COLLATE "C" NOT NULL,
    worker     TEXT COLLATE "C" NOT NULL,                    -- wrk_…
    started_at BIGINT           NOT NULL,
    ended_at   BIGINT,                                       -- NULL while it runs
    outcome    TEXT COLLATE "C" CHECK (outcome IN ('succeeded', 'failed', 'canceled', 'retried')), -- what became of the generation; retried: it waits again
    PRIMARY KEY (generation, token),
    CHECK ((ended_at IS NULL) = (outcome IS NULL))
);

CREATE INDEX attempts_ended ON attempts (ended_at, offer, outcome) WHERE ended_at IS NOT NULL;
-- The latest of an offer that went well, for their median.
CREATE INDEX attempts_succeeded ON attempts (offer, ended_at, started_at) WHERE outcome = 'succeeded';

-- Requests of keys, which all nodes count together: when the bucket of a key will be full again. Not logged, so that
-- counting waits for no disk: after a crash of the server every bucket is full, which harms nobody.
CREATE UNLOGGED TABLE rates (
    key     TEXT COLLATE "C" NOT NULL,                       -- key_…
    kind    TEXT COLLATE "C" NOT NULL,                       -- what is counted
    full_at BIGINT           NOT NULL,                       -- microseconds since the epoch
    PRIMARY KEY (key, kind)
);

CREATE INDEX rates_full ON rates (full_at);
