-- Rows that almost every transaction changes are changed in place: an update that touches no column of an index, its
-- condition included, makes no new entries in indexes. So the conditions ask for columns that change only when a lane is emptied or a
-- grant is used up, and pages keep room for the next version.
ALTER TABLE lanes ADD COLUMN waits BOOLEAN GENERATED ALWAYS AS (queued > 0) STORED;
ALTER TABLE lanes SET (fillfactor = 50);
DROP INDEX lanes_in_turn;
CREATE INDEX lanes_in_turn ON lanes (offer, priority DESC, turn, account) WHERE waits;

ALTER TABLE grants ADD COLUMN is_left BOOLEAN GENERATED ALWAYS AS (available > 0) STORED;
ALTER TABLE grants SET (fillfactor = 50);
DROP INDEX grants_to_spend;
DROP INDEX grants_to_expire;
CREATE INDEX grants_to_spend ON grants (account) WHERE is_left;
CREATE INDEX grants_to_expire ON grants (expires_at) WHERE is_left AND expires_at IS NOT NULL;
