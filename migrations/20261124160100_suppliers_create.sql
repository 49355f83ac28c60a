-- Suppliers of models, the channels that reach them, the models and their versioned prices.

CREATE TABLE suppliers (
    supplier_id uuid        NOT NULL,
    slug        text        NOT NULL,
    name        text        NOT NULL,
    status      text        NOT NULL DEFAULT 'enabled',
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT suppliers_pkey PRIMARY KEY (supplier_id),
    CONSTRAINT suppliers_slug_key UNIQUE (slug),
    CONSTRAINT suppliers_slug_check CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    CONSTRAINT suppliers_name_check CHECK (length(name) BETWEEN 1 AND 100),
    CONSTRAINT suppliers_status_check CHECK (status IN ('enabled', 'disabled'))
);

CREATE TABLE channels (
    channel_id        uuid        NOT NULL,
    supplier_id       uuid        NOT NULL,
    base_url          text        NOT NULL,
    protocol          text        NOT NULL DEFAULT 'openai',
    -- ChaCha20-Poly1305: nonce, then ciphertext; the row's id and the column's name are the associated data.
    secret_sealed     bytea,
    weight            integer     NOT NULL DEFAULT 1,
    status            text        NOT NULL DEFAULT 'enabled',
    created_at        timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT channels_pkey PRIMARY KEY (channel_id),
    CONSTRAINT channels_supplier_id_base_url_key UNIQUE (supplier_id, base_url),
    CONSTRAINT channels_supplier_id_fkey FOREIGN KEY (supplier_id) REFERENCES suppliers (supplier_id),
    CONSTRAINT channels_protocol_check CHECK (protocol IN ('openai', 'anthropic')),
    CONSTRAINT channels_weight_check CHECK (weight BETWEEN 1 AND 1000),
    CONSTRAINT channels_status_check CHECK (status IN ('enabled', 'disabled'))
);

-- A public model id is served by exactly one supplier, so a call is priced and routed without a choice to explain.
CREATE TABLE models (
    model_id          text        NOT NULL,
    supplier_id       uuid        NOT NULL,
    upstream_id       text        NOT NULL,
    context_tokens    bigint      NOT NULL,
    max_output_tokens bigint      NOT NULL,
    input_kinds       text[]      NOT NULL DEFAULT '{text}',
    output_kinds      text[]      NOT NULL DEFAULT '{text}',
    price_version     integer     NOT NULL DEFAULT 1,
    status            text        NOT NULL DEFAULT 'enabled',
    created_at        timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT models_pkey PRIMARY KEY (model_id),
    CONSTRAINT models_supplier_id_fkey FOREIGN KEY (supplier_id) REFERENCES suppliers (supplier_id),
    CONSTRAINT models_model_id_check CHECK (model_id ~ '^[a-z0-9][a-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._:-]*$' AND length(model_id) <= 128),
    CONSTRAINT models_upstream_id_check CHECK (length(upstream_id) BETWEEN 1 AND 128),
    CONSTRAINT models_context_tokens_check CHECK (context_tokens BETWEEN 1 AND 1000000000),
    CONSTRAINT models_max_output_tokens_check CHECK (max_output_tokens BETWEEN 1 AND context_tokens),
    CONSTRAINT models_status_check CHECK (status IN ('enabled', 'disabled'))
);
CREATE INDEX models_supplier_id_idx ON models (supplier_id);

-- The price book: one row a version, never changed, so that any charge can be recomputed from its usage record.
-- Multipliers are parts per million: 1000000 charges one Token for one Token of the model.
CREATE TABLE model_prices (
    model_id   text        NOT NULL,
    version    integer     NOT NULL,
    input_ppm  bigint      NOT NULL,
    cached_ppm bigint      NOT NULL,
    output_ppm bigint      NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT model_prices_pkey PRIMARY KEY (model_id, version),
    CONSTRAINT model_prices_model_id_fkey FOREIGN KEY (model_id) REFERENCES models (model_id),
    CONSTRAINT model_prices_version_check CHECK (version > 0),
    CONSTRAINT model_prices_input_ppm_check CHECK (input_ppm BETWEEN 0 AND 1000000000),
    -- A hold covers the input at input_ppm; a dearer cached Token could exceed it.
    CONSTRAINT model_prices_cached_ppm_check CHECK (cached_ppm BETWEEN 0 AND input_ppm),
    CONSTRAINT model_prices_output_ppm_check CHECK (output_ppm BETWEEN 0 AND 1000000000)
);
ALTER TABLE models ADD CONSTRAINT models_price_version_fkey
    FOREIGN KEY (model_id, price_version) REFERENCES model_prices (model_id, version) DEFERRABLE INITIALLY DEFERRED;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER model_prices_append_only BEFORE UPDATE OR DELETE ON model_prices FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER model_prices_no_truncate BEFORE TRUNCATE ON model_prices FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
