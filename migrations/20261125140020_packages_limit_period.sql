-- A purchase limit may hold within a period: so many orders of one account in any so many days.

ALTER TABLE packages
    -- Empty = for ever.
    ADD COLUMN limit_period_s bigint,
    ADD CONSTRAINT packages_limit_period_s_check CHECK (limit_period_s BETWEEN 60 AND 3650::bigint * 86400),
    ADD CONSTRAINT packages_limit_period_of_limit_check CHECK (limit_period_s IS NULL OR purchase_limit IS NOT NULL);
