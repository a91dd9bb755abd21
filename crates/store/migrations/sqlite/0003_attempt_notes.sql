-- What an attempt leaves behind for the next one: an upstream's name for work that is paid for there. A generation
-- that is claimed again goes on from it instead of paying twice. Kept for good: bills are compared with it.
CREATE TABLE attempt_notes (
    generation TEXT    NOT NULL REFERENCES generations (id),
    offer      TEXT    NOT NULL,              -- the engine that wrote it: another one must not read it
    clip       INTEGER NOT NULL CHECK (clip >= 0), -- which clip of a generation that makes several
    note       TEXT    NOT NULL,              -- the engine's own words
    written_at INTEGER NOT NULL,
    PRIMARY KEY (generation, offer, clip)
) STRICT, WITHOUT ROWID;
