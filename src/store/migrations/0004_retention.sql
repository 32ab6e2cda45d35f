-- 1 once the file in `processed/` is gone because of its age, otherwise 0.
ALTER TABLE batches ADD COLUMN processed_gone INTEGER NOT NULL DEFAULT 0;

-- 1 once the files in `results/` and `errors/` are gone because of their age, otherwise 0.
ALTER TABLE batches ADD COLUMN results_gone INTEGER NOT NULL DEFAULT 0;

-- 1 once the content of its messages is gone because of its age, otherwise 0.
ALTER TABLE batches ADD COLUMN content_gone INTEGER NOT NULL DEFAULT 0;

CREATE INDEX batches_with_processed ON batches (tenant, ended_at)
    WHERE ended_at > 0 AND processed_gone = 0;
CREATE INDEX batches_with_results ON batches (tenant, ended_at)
    WHERE ended_at > 0 AND results_gone = 0;
CREATE INDEX batches_with_content ON batches (tenant, ended_at)
    WHERE ended_at > 0 AND content_gone = 0;
CREATE INDEX batches_bare ON batches (tenant, MAX(ended_at, seen_at))
    WHERE ended_at > 0 AND processed_gone = 1 AND results_gone = 1 AND content_gone = 1;

-- Whether the wall clock is believed when it says that something is old. One row.
CREATE TABLE retention_clock (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    -- What it said when it was last believed; 0 if it was never asked.
    believed_at INTEGER NOT NULL,
    -- What it said when it was last doubted; 0 while it is believed.
    doubted_at INTEGER NOT NULL,
    -- For how long it has been doubted, by a clock that does not step.
    waited_ms INTEGER NOT NULL
) STRICT;

-- What has come in and ended tells how late it was at least.
INSERT INTO retention_clock (id, believed_at, doubted_at, waited_ms)
    SELECT 1, COALESCE(MAX(MAX(received_at, ended_at)), 0), 0, 0 FROM batches;
