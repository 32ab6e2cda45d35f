-- Which files of its tenant a batch needs. Their content lies in the folder of the service.
CREATE TABLE media_uses (
    -- The batch, by its short key. Never changes.
    batch INTEGER NOT NULL,
    -- SHA-256 of the file's content, in hexadecimal. Never changes.
    sha256 TEXT NOT NULL,
    PRIMARY KEY (batch, sha256)
) STRICT, WITHOUT ROWID;

CREATE INDEX media_uses_by_file ON media_uses (sha256);

-- Under which ids providers know files that were uploaded to them.
CREATE TABLE media_ids (
    -- The tenant. Never changes.
    tenant TEXT NOT NULL,
    -- The number whose messages may name it. Never changes.
    number TEXT NOT NULL,
    -- SHA-256 of the file's content, in hexadecimal. Never changes.
    sha256 TEXT NOT NULL,
    -- What the provider was told that the file is. Never changes.
    mime_type TEXT NOT NULL,
    -- The provider's id.
    provider_id TEXT NOT NULL,
    -- Until when messages may name it: a while before the provider forgets it.
    until_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, number, sha256, mime_type)
) STRICT, WITHOUT ROWID;
