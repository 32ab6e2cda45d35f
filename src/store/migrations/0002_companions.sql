-- How the file came in: empty if through the door; else a mark and, after it, the inode and the time
-- of the local file that the spool's entry stands for. Never changes.
ALTER TABLE batches ADD COLUMN origin TEXT NOT NULL DEFAULT '';

-- 1 while checking must not begin because the file's `.done` has not come, otherwise 0.
ALTER TABLE batches ADD COLUMN waits_for_done INTEGER NOT NULL DEFAULT 0;

CREATE INDEX batches_unchecked ON batches (seq)
    WHERE ended_at = 0 AND waits_for_done = 0 AND state IN ('received', 'checking');
CREATE INDEX batches_by_file ON batches (tenant, folder, name, seq);

-- Companions of files that have said what they had to say: none is heard twice.
CREATE TABLE companions (
    -- The batch that it was about. Never changes.
    batch INTEGER NOT NULL REFERENCES batches (seq),
    -- The name of the companion itself, in the folder of the batch. Never changes.
    name TEXT NOT NULL,
    -- The inode and the time by which it is told from others of that name. Never changes.
    identity TEXT NOT NULL,
    -- sha256, md5 or done. Never changes.
    kind TEXT NOT NULL,
    -- 1 once it does not lie in the folder any more, otherwise 0.
    removed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (batch, name, identity)
) STRICT, WITHOUT ROWID;

CREATE INDEX companions_lying ON companions (batch) WHERE removed = 0;
