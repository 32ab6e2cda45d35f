-- When it was cancelled; 0 if it was not. One that was not yet read to its end keeps its state until
-- it is; then it is cancelled.
ALTER TABLE batches ADD COLUMN cancelled_at INTEGER NOT NULL DEFAULT 0;

CREATE INDEX batches_cancelling ON batches (seq) WHERE state = 'cancelling';

-- What somebody has paused: of each at most one. Resuming it removes the row.
CREATE TABLE pauses (
    -- tenant, batch, sender or template. Never changes.
    scope TEXT NOT NULL,
    -- The tenant; empty for a batch. Never changes.
    tenant TEXT NOT NULL,
    -- The id of the batch, the sender's number or the template's name; empty for a tenant. Never
    -- changes.
    name TEXT NOT NULL,
    -- The template's language; empty for every language, and for all else. Never changes.
    language TEXT NOT NULL,
    -- Why, in the words of whoever paused it; may be empty.
    reason TEXT NOT NULL,
    -- operator or tenant.
    paused_by TEXT NOT NULL,
    -- Since when.
    since_at INTEGER NOT NULL,
    -- When it ends by itself; 0 if somebody must resume it.
    until_at INTEGER NOT NULL,
    PRIMARY KEY (scope, tenant, name, language)
) STRICT, WITHOUT ROWID;

-- Senders that the operator has made slower than their settings say.
CREATE TABLE sender_limits (
    -- The tenant. Never changes.
    tenant TEXT NOT NULL,
    -- The number. Never changes.
    number TEXT NOT NULL,
    -- Messages a second at most.
    per_second REAL NOT NULL,
    PRIMARY KEY (tenant, number)
) STRICT, WITHOUT ROWID;
