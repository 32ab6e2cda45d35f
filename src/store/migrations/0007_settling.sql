-- Until when it is held while it is unknown, because a receipt, or the provider when it is asked,
-- may yet say what became of it; 0 if nothing is waited for.
ALTER TABLE messages ADD COLUMN held_until INTEGER NOT NULL DEFAULT 0;
-- While it is held: when the provider is asked about it next; 0 if it is not.
ALTER TABLE messages ADD COLUMN ask_at INTEGER NOT NULL DEFAULT 0;
-- A receipt, in JSON, that counts if the answer to the try under way never comes; empty if none did.
ALTER TABLE messages ADD COLUMN receipt TEXT NOT NULL DEFAULT '';

CREATE INDEX messages_held ON messages (held_until) WHERE held_until > 0;
CREATE INDEX messages_held_of ON messages (batch, held_until) WHERE held_until > 0;
CREATE INDEX messages_to_ask ON messages (ask_at) WHERE ask_at > 0;

-- How many of its unknown messages are held.
ALTER TABLE batches ADD COLUMN held INTEGER NOT NULL DEFAULT 0;

-- How the messages of a tenant are held that may have gone out, by the settings of the last start.
CREATE TABLE holds (
    -- The tenant. Never changes.
    tenant TEXT NOT NULL PRIMARY KEY,
    -- For how long.
    hold_ms INTEGER NOT NULL,
    -- 1 if its provider can be asked about them, otherwise 0.
    is_asked INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
