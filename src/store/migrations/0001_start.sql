-- One row for each file that arrived: the arrival and, once it is checked, its batch.
CREATE TABLE batches (
    -- Our own short key; never reused, never shown.
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The public id. Never changes.
    id TEXT NOT NULL UNIQUE,
    -- Whose file it is. Never changes.
    tenant TEXT NOT NULL,
    -- The path of the drop folder beneath the tenant's root. Never changes.
    folder TEXT NOT NULL,
    -- The name it was uploaded under. Never changes.
    name TEXT NOT NULL,
    -- Size as uploaded, in bytes. Never changes.
    size_bytes INTEGER NOT NULL,
    -- When its close was answered. Never changes.
    received_at INTEGER NOT NULL,
    -- Where it stands: received, checking, rejected, duplicate, checked, sending, finished.
    state TEXT NOT NULL,
    -- How many readings in a row stopped together with the daemon at the same row.
    deaths INTEGER NOT NULL DEFAULT 0,
    -- At how many rows the last of them stopped; -1 if none did.
    died_at_row INTEGER NOT NULL DEFAULT -1,
    -- SHA-256 of the expanded bytes, in hexadecimal; empty until it is checked.
    sha256 TEXT NOT NULL DEFAULT '',
    -- The file's own key against duplicates; empty if it has none.
    batch_key TEXT NOT NULL DEFAULT '',
    -- When this content, or this key, was last seen again; at first its own arrival.
    seen_at INTEGER NOT NULL,
    -- The way it is written; empty until it is checked.
    dialect TEXT NOT NULL DEFAULT '',
    -- The campaign's label; empty if it has none.
    campaign_name TEXT NOT NULL DEFAULT '',
    -- Why it was refused, as a fault in JSON; empty if it was not.
    refusal TEXT NOT NULL DEFAULT '',
    -- Odd things in the file that stopped nothing: faults in a JSON array.
    warnings TEXT NOT NULL DEFAULT '[]',
    -- How many faults were found; more than are kept in `faults` if there were very many.
    fault_count INTEGER NOT NULL DEFAULT 0,
    -- When sending could begin; 0 until then.
    started_at INTEGER NOT NULL DEFAULT 0,
    -- When nothing was left to send; 0 until then.
    finished_at INTEGER NOT NULL DEFAULT 0,
    -- When all its reports were in place; 0 until then. Nothing changes after.
    ended_at INTEGER NOT NULL DEFAULT 0,
    -- Messages by state. Kept with each change of a message, never counted; those that wait are
    -- the rest.
    total INTEGER NOT NULL DEFAULT 0,
    invalid INTEGER NOT NULL DEFAULT 0,
    in_flight INTEGER NOT NULL DEFAULT 0,
    accepted INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    expired INTEGER NOT NULL DEFAULT 0,
    suppressed INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    unknown INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX batches_open ON batches (seq) WHERE ended_at = 0;
CREATE INDEX batches_by_content ON batches (tenant, sha256) WHERE sha256 <> '';
CREATE INDEX batches_by_key ON batches (tenant, batch_key) WHERE batch_key <> '';
CREATE INDEX batches_by_name ON batches (tenant, name);

-- The valid messages of a batch, up to 1,000 to a row: what is counted of them.
CREATE TABLE chunks (
    -- The batch. Never changes.
    batch INTEGER NOT NULL REFERENCES batches (seq),
    -- The index of the first message. Never changes.
    first_index INTEGER NOT NULL,
    -- How many messages it holds. Never changes.
    message_count INTEGER NOT NULL,
    -- How many of them have no row in `messages` yet.
    untouched INTEGER NOT NULL,
    PRIMARY KEY (batch, first_index)
) STRICT, WITHOUT ROWID;

-- The messages themselves. Apart from `chunks`, so that counting does not write them again.
CREATE TABLE chunk_contents (
    -- The batch. Never changes.
    batch INTEGER NOT NULL REFERENCES batches (seq),
    -- The index of the first message. Never changes.
    first_index INTEGER NOT NULL,
    -- The messages: zstd over JSON, one a line. Never changes.
    content BLOB NOT NULL,
    PRIMARY KEY (batch, first_index)
) STRICT;

CREATE INDEX chunks_untouched ON chunks (batch, first_index) WHERE untouched > 0;

-- A message to which something has happened. A message without a row waits, untried.
CREATE TABLE messages (
    -- The batch. Never changes.
    batch INTEGER NOT NULL REFERENCES batches (seq),
    -- Its place in the file, from 0. Never changes.
    idx INTEGER NOT NULL,
    -- waiting, inFlight, accepted, failed, invalid, expired, suppressed, cancelled or unknown.
    state TEXT NOT NULL,
    -- How often sending it was begun.
    attempts INTEGER NOT NULL,
    -- While it waits: not before this moment; otherwise 0.
    due_at INTEGER NOT NULL,
    -- When it came into this state.
    changed_at INTEGER NOT NULL,
    -- After this moment it is not sent; 0 for an invalid row. Never changes.
    expires_at INTEGER NOT NULL,
    -- 1 if an earlier attempt may have gone out, otherwise 0.
    possible_duplicate INTEGER NOT NULL,
    -- 1 if a mended row could be sent, otherwise 0.
    in_row INTEGER NOT NULL,
    -- The provider's id; empty until it is accepted.
    provider_id TEXT NOT NULL,
    -- Why it is where it is: the last reason, or for an invalid row what could be read of it with
    -- its faults, in JSON; empty if there is nothing to say.
    note TEXT NOT NULL,
    PRIMARY KEY (batch, idx)
) STRICT, WITHOUT ROWID;

CREATE INDEX messages_due ON messages (batch, due_at) WHERE state = 'waiting';
CREATE INDEX messages_in_flight ON messages (batch) WHERE state = 'inFlight';

-- What is wrong with a file, in the order of the file.
CREATE TABLE faults (
    -- The batch. Never changes.
    batch INTEGER NOT NULL REFERENCES batches (seq),
    -- The place among its faults, from 0. Never changes.
    place INTEGER NOT NULL,
    -- The fault in JSON. Never changes.
    fault TEXT NOT NULL,
    PRIMARY KEY (batch, place)
) STRICT, WITHOUT ROWID;

-- Files written for the tenant. What is done is never written again, even if it was deleted.
CREATE TABLE publications (
    -- The batch. Never changes.
    batch INTEGER NOT NULL REFERENCES batches (seq),
    -- The path beneath the tenant's `whatsapp` folder. Never changes.
    path TEXT NOT NULL,
    -- SHA-256 of the content in hexadecimal. Never changes.
    sha256 TEXT NOT NULL,
    -- 0 while it is about to be put in place, 1 once it is.
    done INTEGER NOT NULL,
    PRIMARY KEY (batch, path)
) STRICT, WITHOUT ROWID;
