-- In which language a user reads (RFC 5646), for letters that are written while they are not there. NULL: they have not signed in since.
ALTER TABLE users ADD COLUMN language text CONSTRAINT users_language_check CHECK (language IN ('en', 'zh-Hans'));
