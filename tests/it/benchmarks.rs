//! What `BENCH=accounting` fills its database with, which nothing else would notice to be out of date.

#[path = "../../benches/accounting/history.rs"]
mod history;

use sqlx::PgPool;
use toki::wallet::audit::audit;

#[sqlx::test]
async fn the_history_that_benchmarks_write_adds_up(db: PgPool) {
    history::accounts(&db, 3).await.expect("accounts");
    history::old_grants(&db).await.expect("grants");
    history::records(&db, &history::OLD, 40).await.expect("records of the old account");
    history::records(&db, &history::OTHERS, 100).await.expect("records of the others");
    history::settle_down(&db).await.expect("settled down");
    history::read_once(&db).await.expect("read");
    // Two entries of each grant that expired, one of any other, and one of each call.
    let grants = 3 + 600 + 600 + 19 + 40 + 2;
    assert_eq!(history::ledger_rows(&db).await.expect("rows"), grants + 140);
    let report = audit(&db, None).await.expect("audit");
    assert!(report.differences.is_empty(), "{:?}", report.differences);
}
