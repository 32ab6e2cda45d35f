-- What was learned from answers to stand against sending for a while: breakers that are open, and
-- senders that rest because they were throttled. A row goes when messages pass again; that of a rest
-- may outlive it.
CREATE TABLE bars (
    -- endpoint, credential, sender or template: a breaker; rest. Never changes.
    kind TEXT NOT NULL,
    -- The tenant; empty for an endpoint. Never changes.
    tenant TEXT NOT NULL,
    -- The address of an endpoint, the sender's number or the template's name; empty for a
    -- credential. Never changes.
    name TEXT NOT NULL,
    -- The template's language; empty for all else. Never changes.
    language TEXT NOT NULL,
    -- When it was found to stand so.
    since_at INTEGER NOT NULL,
    -- When it is to be tried again.
    until_at INTEGER NOT NULL,
    -- How often in a row a breaker has opened; 0 for a rest.
    strikes INTEGER NOT NULL,
    -- Why, in JSON.
    reason TEXT NOT NULL,
    PRIMARY KEY (kind, tenant, name, language)
) STRICT, WITHOUT ROWID;

-- Why it was cancelled, in the words of whoever did; may be empty.
ALTER TABLE batches ADD COLUMN cancel_reason TEXT NOT NULL DEFAULT '';
