//! What can go wrong in the ledger, and what a failure of the database is about: what it was told, or itself.

use std::borrow::Cow;

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("this order was credited before")]
    AlreadyGranted,
    #[error("no such grant")]
    NoGrant,
    #[error("the grant has not that many Tokens left, or its time is over")]
    NotEnoughLeft,
    #[error("the database answered a batch with the wrong number of rows")]
    BatchMismatch,
    #[error("database failed")]
    Db(#[source] sqlx::Error),
}

impl From<sqlx::Error> for LedgerError {
    fn from(error: sqlx::Error) -> LedgerError {
        match error.as_database_error().and_then(|error| error.constraint()) {
            Some("grants_order_id_key") => LedgerError::AlreadyGranted,
            _ => LedgerError::Db(error),
        }
    }
}

impl LedgerError {
    /// Whether the same statement may succeed when it is sent again: a deadlock, a serialization failure, a lock that was not to
    /// be had in time, or a database that is away or takes nothing from anybody. All statements of the ledger may be repeated.
    pub fn is_transient(&self) -> bool {
        let LedgerError::Db(error) = self else { return false };
        match self.code() {
            // serialization_failure, deadlock_detected, lock_not_available, query_canceled, read_only_sql_transaction,
            // object_not_in_prerequisite_state (a database that lets nobody in).
            Some(code) if matches!(&*code, "40001" | "40P01" | "55P03" | "57014" | "25006" | "55000") => true,
            // The classes 08 (connection), 28 (password), 3D (name of the database), 53 (resources), 57P (operator intervention),
            // 58 (system).
            Some(code) => ["08", "28", "3D", "53", "57P", "58"].iter().any(|class| code.starts_with(class)),
            None => matches!(
                error,
                sqlx::Error::Io(_)
                    | sqlx::Error::Tls(_)
                    | sqlx::Error::PoolTimedOut
                    | sqlx::Error::PoolClosed
                    | sqlx::Error::WorkerCrashed
                    | sqlx::Error::Protocol(_)
            ),
        }
    }

    /// Whether it is about what the statement said, so that the same will be refused for ever: a value that no column takes (class 22 of
    /// SQLSTATE), one that breaks a rule (23), or one that could not even be sent. Not every failure is either this or transient.
    pub fn is_refusal(&self) -> bool {
        match self.code() {
            Some(code) => code.starts_with("22") || code.starts_with("23"),
            None => matches!(self, LedgerError::Db(sqlx::Error::Encode(_))),
        }
    }

    /// Whether the statement was more than the server can take (class 54), as JSON that is nested too deeply for its stack.
    pub fn is_too_much(&self) -> bool {
        self.code().is_some_and(|code| code.starts_with("54"))
    }

    /// Whether somebody keeps a lock for longer than the connection's `lock_timeout`.
    pub fn is_locked(&self) -> bool {
        self.code().as_deref() == Some("55P03")
    }

    /// The SQLSTATE.
    fn code(&self) -> Option<Cow<'_, str>> {
        let LedgerError::Db(error) = self else { return None };
        error.as_database_error().and_then(|error| error.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::{AssertSqlSafe, PgPool};

    #[sqlx::test]
    async fn what_the_database_refuses_is_told_from_a_database_that_refuses(db: PgPool) {
        let mut connection = db.acquire().await.expect("a connection");
        let transient = [
            "08006", "25006", "28000", "28P01", "3D000", "40001", "40P01", "53100", "53300", "55000", "55P03", "57014", "57P01", "57P03",
            "58000", "58030",
        ];
        let refused = ["22001", "22003", "22021", "23502", "23503", "23505", "23514"];
        let neither = ["0A000", "21000", "42501", "42P01", "54001", "P0001", "XX000", "XX001"];
        for code in transient.into_iter().chain(refused).chain(neither) {
            let raise = format!("DO $$ BEGIN RAISE EXCEPTION 'as asked' USING ERRCODE = '{code}'; END $$");
            let error = sqlx::raw_sql(AssertSqlSafe(raise)).execute(&mut *connection).await.expect_err(code);
            let error = LedgerError::from(error);
            assert_eq!(error.code().as_deref(), Some(code));
            assert_eq!((error.is_transient(), error.is_refusal()), (transient.contains(&code), refused.contains(&code)), "{code}");
            assert_eq!((error.is_locked(), error.is_too_much()), (code == "55P03", code == "54001"), "{code}");
        }
    }

    #[test]
    fn what_never_reached_the_database_is_told_apart_too() {
        for error in [sqlx::Error::PoolClosed, sqlx::Error::PoolTimedOut, sqlx::Error::Tls("no certificate".into())] {
            let error = LedgerError::from(error);
            assert!(error.is_transient() && !error.is_refusal(), "{error:?}");
        }
        let unsendable = LedgerError::from(sqlx::Error::Encode("year 300000".into()));
        assert!(unsendable.is_refusal() && !unsendable.is_transient());
        assert!(!LedgerError::BatchMismatch.is_refusal() && !LedgerError::BatchMismatch.is_transient());
    }
}
