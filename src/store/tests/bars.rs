//! What stands against sending, on real files.

use super::*;
use crate::delivery::breaker::{Gate, Open};
use crate::delivery::sending::{Bar, Barred};

fn opened(seconds: i64, strikes: u32) -> Open {
    Open {
        until: NOW.plus_ms(seconds * 1_000),
        reason: Reason::new(
            "provider.credentials",
            "the provider refuses the credentials",
        ),
        strikes,
    }
}

/// What a start does not know of is tried anew, with as many messages as may be under way.
#[tokio::test]
async fn every_kind_of_bar_is_read_back_as_it_was_kept() {
    let folder = folder();
    let number = || Phone::from_e164("+15550001111").expect("a number");
    let bars = [
        Bar::Breaker(Gate::Endpoint("https://provider.example/v1".into())),
        Bar::Breaker(Gate::Credential(tenant())),
        Bar::Breaker(Gate::Sender(tenant(), number())),
        Bar::Breaker(Gate::Template(tenant(), "offer".into(), "nl".into())),
        Bar::Rest(tenant(), number()),
    ];
    let store = open(&folder);
    let kept = bars.iter().map(|bar| (bar.clone(), Some(opened(60, 1))));
    store.keep_bars(kept.collect(), NOW).await.expect("kept");
    // Of each there is one, as it was kept last; what passes again is forgotten.
    let later = NOW.plus_ms(5);
    let changed = vec![
        (bars[1].clone(), Some(opened(90, 2))),
        (bars[4].clone(), None),
    ];
    store.keep_bars(changed, later).await.expect("kept");
    drop(store);
    let store = open(&folder);
    let mut found = store.bars().await.expect("read");
    found.sort_by(|one, other| one.bar.cmp(&other.bar));
    let expected = bars[..4].iter().enumerate().map(|(at, bar)| Barred {
        bar: bar.clone(),
        since: if at == 1 { later } else { NOW },
        open: if at == 1 {
            opened(90, 2)
        } else {
            opened(60, 1)
        },
    });
    assert_eq!(found, expected.collect::<Vec<_>>());
}
