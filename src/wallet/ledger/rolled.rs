//! Whose the Tokens of a grant are when purchases rolled over into one another, so that a refund or a dispute of one of them reaches its
//! own Tokens, wherever they lie, and no other's.
//!
//! The ledger says what was moved into each grant, and out of it, but not whose Tokens a call used up. The rule: **Tokens of earlier
//! purchases are spent first**, and what running calls hold is the latest one's. So what is left in a grant belongs to the latest of the
//! purchases that Tokens in it are of, as far as that brought so many, then to the one before. Each Token that is left has one purchase.
//!
//! Before Tokens of a purchase are refunded or frozen they are given back: moved to the grant that it brought, which then ends no earlier
//! than the one that they were in. Such an entry names the order whose grant gives them back; that of a rollover names the order whose
//! grant takes them over. All of it is recomputed from the ledger each time; nothing is stored about it, and looking at it writes nothing.

use super::refunds::OrderedGrant;
use super::{LedgerError, MoveCause, move_in};
use crate::ids::{AccountId, GrantId, OrderId};
use crate::tokens::Tokens;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// What is left of an order's Tokens, in its own grant and in those that took them over; zero when it has none.
pub async fn left_of_order(db: impl PgExecutor<'_>, order_id: OrderId) -> Result<Tokens, LedgerError> {
    let whereabouts = whereabouts(db, order_id).await?;
    Ok(whereabouts.left_with(whereabouts.home))
}

/// Moves so many of the order's Tokens into its grant that these are there, as far as they are left. Returns how many of its own are in
/// its grant then.
pub(super) async fn gather_in(tx: &mut PgConnection, grant: &OrderedGrant, most: Tokens) -> Result<Tokens, LedgerError> {
    let found = whereabouts(&mut *tx, grant.order_id).await?;
    let mut home = found.home;
    for lying in found.away {
        let part = lying.tokens.min(most.0 - home);
        if part > 0 {
            give_back_in(tx, grant.account_id, (lying.grant_id, lying.order_id), grant.grant_id, part).await?;
            home += part;
        }
    }
    Ok(Tokens(home))
}

/// Brings all of the order's Tokens that are left into its grant, and those of others out of it, each into the grant of its own order: for
/// what then happens to the grant as a whole.
pub async fn separate_in(tx: &mut PgConnection, grant: &OrderedGrant) -> Result<(), LedgerError> {
    let found = whereabouts(&mut *tx, grant.order_id).await?;
    for lying in found.away {
        give_back_in(tx, grant.account_id, (lying.grant_id, lying.order_id), grant.grant_id, lying.tokens).await?;
    }
    for guest in found.guests {
        give_back_in(tx, grant.account_id, (grant.grant_id.0, grant.order_id.0), GrantId(guest.grant_id), guest.tokens).await?;
    }
    Ok(())
}

/// Whether that is so: none of the order's Tokens lie elsewhere, and none of others' in its grant.
pub async fn is_separate(db: impl PgExecutor<'_>, order_id: OrderId) -> Result<bool, LedgerError> {
    let found = whereabouts(db, order_id).await?;
    Ok(found.away.is_empty() && found.guests.is_empty())
}

/// The account is locked. What comes back keeps the time that it had got; a grant that was out of the burn order because nothing was left
/// of it returns there. What of it has expired, and was not swept yet, stays expired; the time of a frozen grant stands still.
async fn give_back_in(
    tx: &mut PgConnection,
    account_id: AccountId,
    (from, from_order): (Uuid, Uuid),
    to: GrantId,
    tokens: i64,
) -> Result<(), LedgerError> {
    sqlx::query!(
        "WITH due AS (
             UPDATE grants g SET left_ = 0, expired = g.expired + d.left_
               FROM (SELECT grant_id, left_ FROM grants
                      WHERE grant_id = $2 AND left_ > 0 AND expires_at <= least(clock_timestamp(), frozen_at)) d
              WHERE g.grant_id = d.grant_id RETURNING d.left_ AS tokens)
         INSERT INTO ledger (account_id, grant_id, from_book, to_book, tokens)
         SELECT $1::uuid, $2::uuid, 'grant', 'expired', due.tokens FROM due",
        account_id.0,
        to.0
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "UPDATE grants g SET expires_at = greatest(g.expires_at, f.expires_at),
                             swept_at = CASE WHEN g.frozen_at IS NOT NULL THEN g.swept_at END
           FROM grants f WHERE g.grant_id = $1 AND f.grant_id = $2",
        to.0,
        from
    )
    .execute(&mut *tx)
    .await?;
    move_in(tx, (account_id, GrantId(from)), (account_id, to), Tokens(tokens), MoveCause::Renewal(OrderId(from_order))).await
}

/// Where what is left of an order's Tokens is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Whereabouts {
    /// In its own grant.
    home: i64,
    /// In grants that took them over.
    away: Vec<Lying>,
    /// What in its own grant is of other orders, and their grants.
    guests: Vec<Lying>,
}

#[derive(Debug, PartialEq, Eq)]
struct Lying {
    grant_id: Uuid,
    order_id: Uuid,
    tokens: i64,
}

impl Whereabouts {
    /// What is left of the order's Tokens, where so many of its own are in its grant.
    fn left_with(&self, home: i64) -> Tokens {
        Tokens(home + self.away.iter().map(|lying| lying.tokens).sum::<i64>())
    }

    /// What is left of the order's Tokens, where so many of anybody's are in its grant.
    pub(super) fn left_of(&self, in_grant: i64) -> Tokens {
        let guests: i64 = self.guests.iter().map(|lying| lying.tokens).sum();
        self.left_with((in_grant - guests).max(0))
    }
}

/// An entry of a grant of the package that the order is of, with that grant as it is now.
struct Entry {
    grant_id: Uuid,
    order_id: Uuid,
    held: i64,
    left: i64,
    from_book: String,
    to_book: String,
    tokens: i64,
    to_grant_id: Option<Uuid>,
    cause: Option<Uuid>,
}

/// Looks for an order's Tokens. Only purchases of one package by one account roll over into one another.
pub(super) async fn whereabouts(db: impl PgExecutor<'_>, order_id: OrderId) -> Result<Whereabouts, LedgerError> {
    let entries = sqlx::query_as!(
        Entry,
        r#"SELECT g.grant_id AS "grant_id!", g.order_id AS "order_id!", g.held AS "held!",
                  CASE WHEN g.expires_at > least(clock_timestamp(), g.frozen_at) THEN g.left_ ELSE 0 END AS "left!",
                  l.from_book AS "from_book!", l.to_book AS "to_book!", l.tokens AS "tokens!", l.to_grant_id AS "to_grant_id?",
                  l.order_id AS "cause?"
             FROM orders a
             JOIN orders o ON o.account_id = a.account_id AND o.package_id = a.package_id
             JOIN grants g ON g.order_id = o.order_id
             JOIN ledger l ON l.account_id = g.account_id AND l.grant_id = g.grant_id AND l.to_book <> 'spent'
            WHERE a.order_id = $1
            ORDER BY l.entry_id"#,
        order_id.0
    )
    .fetch_all(db)
    .await?;
    Ok(found_in(&books_of(&entries), order_id.0))
}

/// A grant, and how many Tokens of each purchase came into it and did not leave it again but by being used or by expiring: at the place
/// of the purchase, the earliest first.
struct Book {
    grant_id: Uuid,
    order_id: Uuid,
    held: i64,
    left: i64,
    of: Vec<i64>,
}

/// Goes through the entries again. A grant's first is its issue, so its place in the list is its purchase's.
fn books_of(entries: &[Entry]) -> Vec<Book> {
    let purchases = entries.iter().filter(|entry| entry.from_book == "issued").count();
    let mut books: Vec<Book> = Vec::with_capacity(purchases);
    for entry in entries {
        if entry.from_book == "issued" {
            let mut of = vec![0; purchases];
            of[books.len()] = entry.tokens;
            books.push(Book { grant_id: entry.grant_id, order_id: entry.order_id, held: entry.held, left: entry.left, of });
            continue;
        }
        let Some(at) = books.iter().position(|book| book.grant_id == entry.grant_id) else { continue };
        let to = entry.to_grant_id.and_then(|to| books.iter().position(|book| book.grant_id == to));
        match (entry.from_book.as_str(), entry.to_book.as_str(), to) {
            ("refunded", _, _) => books[at].of[at] += entry.tokens,
            (_, "refunded", _) => drop(take(&mut books[at].of, Some(at), entry.tokens)),
            (_, "grant", Some(to)) => {
                let given_back = entry.cause == Some(entry.order_id);
                let moved = take(&mut books[at].of, given_back.then_some(to), entry.tokens);
                books[to].of.iter_mut().zip(moved).for_each(|(there, part)| *there += part);
            }
            // What expires, or is transferred to another account, is used.
            _ => {}
        }
    }
    books
}

/// Takes Tokens out of a list of purchases: of this one first, then of the latest, then of the one before. Returns how many of each.
fn take(of: &mut [i64], first: Option<usize>, tokens: i64) -> Vec<i64> {
    let mut taken = vec![0; of.len()];
    let mut rest = tokens;
    for at in first.into_iter().chain((0..of.len()).rev()) {
        let part = of[at].min(rest);
        of[at] -= part;
        taken[at] += part;
        rest -= part;
    }
    taken
}

impl Book {
    /// Whose the Tokens are that are left in the grant of the purchase at this place.
    fn left_of_each(&self, at: usize) -> Vec<i64> {
        let there = self.left + self.held;
        let mut each = take(&mut self.of.clone(), None, there);
        // What no entry tells of, which the audit says, is at least nobody else's.
        each[at] += there - each.iter().sum::<i64>();
        take(&mut each, None, self.held);
        each
    }
}

fn found_in(books: &[Book], order_id: Uuid) -> Whereabouts {
    let mut found = Whereabouts::default();
    let Some(home) = books.iter().position(|book| book.order_id == order_id) else { return found };
    for (at, book) in books.iter().enumerate() {
        let each = book.left_of_each(at);
        if at != home {
            let lying = Lying { grant_id: book.grant_id, order_id: book.order_id, tokens: each[home] };
            found.away.extend(Some(lying).filter(|lying| lying.tokens > 0));
            continue;
        }
        found.home = each[home];
        let guests = books.iter().zip(each).enumerate().filter(|(other, (_, tokens))| *other != home && *tokens > 0);
        found.guests = guests.map(|(_, (guest, tokens))| Lying { grant_id: guest.grant_id, order_id: guest.order_id, tokens }).collect();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> Uuid {
        Uuid::from_u128(n as u128 + 1)
    }

    /// Grants that brought 100 Tokens each and have so many left and held; then moves from one to another, in the name of the order of
    /// one of both.
    fn books(left_and_held: &[(i64, i64)], moves: &[(usize, usize, usize, i64)]) -> Vec<Book> {
        let entry = |at: usize, from_book: &str, to_grant_id, cause, tokens| Entry {
            grant_id: id(at),
            order_id: id(at),
            held: left_and_held[at].1,
            left: left_and_held[at].0,
            from_book: from_book.into(),
            to_book: "grant".into(),
            tokens,
            to_grant_id,
            cause,
        };
        let issued = (0..left_and_held.len()).map(|at| entry(at, "issued", None, Some(id(at)), 100));
        let moved = moves.iter().map(|(from, to, cause, tokens)| entry(*from, "grant", Some(id(*to)), Some(id(*cause)), *tokens));
        books_of(&issued.chain(moved).collect::<Vec<_>>())
    }

    /// What is left of each order.
    fn left(books: &[Book]) -> Vec<i64> {
        (0..books.len()).map(|at| found_in(books, id(at))).map(|found| found.left_with(found.home).0).collect()
    }

    #[test]
    fn tokens_of_earlier_purchases_are_spent_first() {
        let rolled = [(0, 1, 1, 100)];
        for (in_second, expected) in [(200, [100, 100]), (130, [30, 100]), (100, [0, 100]), (70, [0, 70]), (0, [0, 0])] {
            assert_eq!(left(&books(&[(0, 0), (in_second, 0)], &rolled)), expected);
        }
        let twice = [(0, 1, 1, 100), (1, 2, 2, 150)];
        for (in_third, expected) in [(250, [50, 100, 100]), (210, [10, 100, 100]), (150, [0, 50, 100]), (60, [0, 0, 60])] {
            assert_eq!(left(&books(&[(0, 0), (0, 0), (in_third, 0)], &twice)), expected);
        }
    }

    #[test]
    fn running_calls_hold_the_latest() {
        let rolled = [(0, 1, 1, 100)];
        for (in_second, expected) in [((190, 10), [100, 90]), ((60, 140), [60, 0]), ((50, 50), [0, 50]), ((20, 100), [20, 0])] {
            assert_eq!(left(&books(&[(0, 0), in_second], &rolled)), expected);
        }
    }

    #[test]
    fn what_was_given_back_is_where_it_was_and_rolls_over_again() {
        let back = [(0, 1, 1, 100), (1, 0, 1, 100)];
        assert_eq!(left(&books(&[(100, 0), (100, 0)], &back)), [100, 100]);
        let again = [(0, 1, 1, 100), (1, 0, 1, 100), (0, 2, 2, 100), (1, 2, 2, 40), (2, 1, 2, 40)];
        let books = books(&[(0, 0), (40, 0), (180, 0)], &again);
        assert_eq!(left(&books), [80, 40, 100]);
        let first = found_in(&books, id(0));
        assert_eq!((first.home, first.away), (0, vec![Lying { grant_id: id(2), order_id: id(2), tokens: 80 }]));
        let third = found_in(&books, id(2));
        assert_eq!((third.home, third.guests), (100, vec![Lying { grant_id: id(0), order_id: id(0), tokens: 80 }]));
    }

    #[test]
    fn what_went_to_one_and_came_back_to_the_other_is_still_told_apart() {
        // A grant that was queued rolled over into one that began and ended earlier, and takes over what is left of that.
        let there_and_back = [(0, 1, 1, 100), (1, 0, 0, 200)];
        assert_eq!(left(&books(&[(200, 0), (0, 0)], &there_and_back)), [100, 100]);
        assert_eq!(left(&books(&[(150, 0), (0, 0)], &there_and_back)), [50, 100]);
    }
}
