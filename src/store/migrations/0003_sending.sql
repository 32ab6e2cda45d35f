-- The index of the last message; -1 for a chunk that was kept before this was.
ALTER TABLE chunks ADD COLUMN last_index INTEGER NOT NULL DEFAULT -1;
-- When the earliest of the messages may go that nothing had happened to when it was read last; 0 for
-- at once.
ALTER TABLE chunks ADD COLUMN next_at INTEGER NOT NULL DEFAULT 0;
-- The lanes of its messages: one bit for each lane of the batch. Never changes.
ALTER TABLE chunks ADD COLUMN lanes BLOB NOT NULL DEFAULT x'';
-- Readings that were begun since one came to its end.
ALTER TABLE chunks ADD COLUMN readings INTEGER NOT NULL DEFAULT 0;
-- 1 if it was set aside because it cannot be read, otherwise 0.
ALTER TABLE chunks ADD COLUMN aside INTEGER NOT NULL DEFAULT 0;

-- What the messages of a batch have in common that can only go or wait together.
CREATE TABLE lanes (
    -- The batch. Never changes.
    batch INTEGER NOT NULL REFERENCES batches (seq),
    -- Its number in the batch, from 0. Never changes.
    lane INTEGER NOT NULL,
    -- Number, template, priority and hours, in JSON. Never changes.
    content TEXT NOT NULL,
    PRIMARY KEY (batch, lane)
) STRICT, WITHOUT ROWID;

-- How many of the attempts do not count, because the provider never looked at the message.
ALTER TABLE messages ADD COLUMN uncounted INTEGER NOT NULL DEFAULT 0;

-- When the earliest message may go; 0 for at once.
ALTER TABLE batches ADD COLUMN scheduled_at INTEGER NOT NULL DEFAULT 0;

-- What senders have learned of the provider's limit, where it is below what is set.
CREATE TABLE learned_rates (
    -- The tenant. Never changes.
    tenant TEXT NOT NULL,
    -- The number. Never changes.
    number TEXT NOT NULL,
    -- Messages a second.
    per_second REAL NOT NULL,
    PRIMARY KEY (tenant, number)
) STRICT, WITHOUT ROWID;
