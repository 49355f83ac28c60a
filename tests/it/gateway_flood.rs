//! One account floods the gateway. Whoever else calls is answered while all of the flood still waits; the order says so, not the time.

use crate::support::installation::{Call, Installation};
use crate::support::raw::raise_files;
use crate::support::supplier::CHARGE;

/// As many calls run at the supplier, and as many more arrive just before the neighbour's.
const WAVE: usize = 500;

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbour_is_answered_while_a_flood_waits() {
    raise_files();
    let mut site = Installation::new().await;
    let replica = site.replica().serve(&[]);
    site.account("flood@example.com", 1_000_000);
    let (flooder, neighbour) = (site.key("flood@example.com", None), site.customer("neighbour@example.com"));
    let wave = |site: &Installation| (0..WAVE).map(|_| site.call_saying(&replica, false, &flooder, "flood")).collect::<Vec<Call>>();

    let mut flood = wave(&site);
    let mut held = Vec::new();
    while held.len() < WAVE {
        held.push(site.supplier.accept().await);
    }
    flood.extend(wave(&site));
    let call = site.call_saying(&replica, false, &neighbour, "neighbour");
    loop {
        let arrived = site.supplier.accept().await;
        if arrived.says("neighbour") {
            arrived.answer();
            break;
        }
        held.push(arrived);
    }
    assert_eq!(call.await.expect("no panic").expect("an answer").status(), 200);
    assert!(flood.iter().all(|call| !call.is_finished()), "the flood waits");

    held.drain(..).for_each(|call| call.answer());
    let (served, refused) = site.serve_all(flood).await;
    assert_eq!((served, refused), (2 * WAVE, 0));
    site.assert_books(&[("ok", "measured", CHARGE); 2 * WAVE + 1]).await;
}
