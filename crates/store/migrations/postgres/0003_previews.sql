-- What the clip of a generation looks like so far: the latest picture of its worker's, while it lives. Written under the
-- lease, removed with the end; neither history nor money depends on it, so that a crash of the server may empty it.
CREATE UNLOGGED TABLE previews (
    generation TEXT COLLATE "C" PRIMARY KEY REFERENCES generations (id),
    number     BIGINT           NOT NULL CHECK (number >= 1), -- counts the generation's pictures, over all attempts
    jpeg       BYTEA            NOT NULL CHECK (length(jpeg) <= 49152)
);
