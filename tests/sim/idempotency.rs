//! Calls that are sent under an Idempotency-Key: what replicas, and a job, do with what is kept of them. Whether one was sent before is
//! decided with its admission.

use crate::world::Answer;
use sqlx::PgPool;
use toki::ids::RequestId;
use toki::wallet::ledger::{forget_idempotent_call, forget_old_idempotent_calls, keep_answer, kept_answer};

#[derive(Clone, Copy, Debug)]
pub enum Kept {
    /// A replica keeps the answer of a call.
    Answer(RequestId),
    /// Another asks for it, to give it again.
    Give(RequestId),
    /// No supplier had the call, so it may be sent again.
    Free(RequestId),
    /// The job that forgets calls after their day.
    Old,
}

const ANSWER: &[u8] = b"an answer";

pub async fn apply(db: &PgPool, kept: Kept) -> Answer {
    match kept {
        Kept::Answer(call) => {
            let kept = keep_answer(db, call, ANSWER, i64::MAX).await.expect("asked");
            Answer::says(if kept { "kept" } else { "forgotten" })
        }
        Kept::Give(call) => match kept_answer(db, call).await.expect("asked") {
            Ok(answer) => {
                assert_eq!(answer, ANSWER);
                Answer::says("given")
            }
            Err(state) => Answer::says(format!("withheld {state:?}")),
        },
        Kept::Free(call) => {
            forget_idempotent_call(db, call).await.expect("forgotten");
            Answer::default()
        }
        Kept::Old => {
            forget_old_idempotent_calls(db).await.expect("forgotten");
            Answer::default()
        }
    }
}
