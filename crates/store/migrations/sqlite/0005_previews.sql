-- What the clip of a generation looks like so far: the latest picture of its worker's, while it lives. Written under the
-- lease, removed with the end; neither history nor money depends on it.
CREATE TABLE previews (
    generation TEXT    PRIMARY KEY REFERENCES generations (id),
    number     INTEGER NOT NULL CHECK (number >= 1), -- counts the generation's pictures, over all attempts
    jpeg       BLOB    NOT NULL CHECK (length(jpeg) <= 49152)
) STRICT;
