//! What a tenant's files ask for, on real files.

use super::*;
use crate::batch::name::Verb;
use crate::batch::verdict;
use crate::delivery::steering::{By, Pause, Subject};

fn wish(batch: &BatchId, verb: Verb, deed: Deed) -> Wish {
    let kind = Companion::Steers(verb);
    Wish {
        batch: batch.clone(),
        deed,
        heard: Heard {
            kind,
            name: format!("a.json.{}", kind.as_str()),
            identity: Identity {
                inode: 7,
                modified_ns: 1,
            },
        },
        denial: verdict::steering_denied(verb),
        now: NOW,
    }
}

async fn codes(store: &Store, batch: &BatchId) -> Vec<Code> {
    let standing = store.batch(batch.clone()).await.expect("read").expect("it");
    standing.warnings.iter().map(|fault| fault.code).collect()
}

/// A wish that was done but not remembered would be done again to the batch that comes next; and
/// one that the operator does not let happen must be told, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_wish_is_remembered_with_its_deed() {
    let folder = folder();
    let store = open(&folder);
    let (batch, _) = admitted(&store, 1, "aa").await;
    let pause = || wish(&batch, Verb::Pause, Deed::Pause("why".into()));
    let granted = store.grant(pause()).await.expect("granted");
    assert!(matches!(&granted, Granted::Paused(it) if it.by == By::Tenant));
    let heard = store.heard(tenant()).await.expect("read");
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0].2, pause().heard);
    let resume = || wish(&batch, Verb::Resume, Deed::Resume);
    assert_eq!(
        store.grant(resume()).await.expect("granted"),
        Granted::Resumed
    );
    assert_eq!(
        store.grant(resume()).await.expect("heard"),
        Granted::Unchanged
    );
    assert_eq!(codes(&store, &batch).await, []);

    let operators = Pause {
        subject: Subject::Tenant { tenant: tenant() },
        reason: String::new(),
        by: By::Operator,
        since: NOW,
        until: None,
    };
    assert!(store.pause(operators).await.expect("paused"));
    for _ in 0..2 {
        let granted = store.grant(resume()).await.expect("heard");
        assert_eq!(granted, Granted::Unchanged);
        assert_eq!(codes(&store, &batch).await, [Code::FileSteeringDenied]);
    }
    // Beside the operator's pause of all it keeps its own of the one.
    let granted = store.grant(pause()).await.expect("granted");
    assert!(matches!(granted, Granted::Paused(_)));
    assert_eq!(codes(&store, &batch).await.len(), 1);

    let cancel = || wish(&batch, Verb::Cancel, Deed::Cancel);
    let granted = store.grant(cancel()).await.expect("granted");
    assert!(matches!(granted, Granted::Cancelled(Cancelled::Now { .. })));
    assert_eq!(
        store.grant(cancel()).await.expect("asked"),
        Granted::TooLate
    );
}

/// Whatever a name says, another tenant's batch, another folder's and one that came later are not
/// meant.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_batch_of_its_own_that_was_there_is_meant() {
    let folder = folder();
    let store = open(&folder);
    let (batch, _) = admitted(&store, 1, "aa").await;
    let standing = store.batch(batch.clone()).await.expect("read").expect("it");
    let arrival = standing.arrival;
    let file = |name: &str| FileName {
        tenant: tenant(),
        folder: arrival.folder,
        name: name.into(),
    };
    let names = [
        arrival.name.clone(),
        batch.to_string(),
        format!("{batch}.{}", arrival.name),
    ];
    for name in &names {
        let meant = store.meant(file(name), arrival.received_at).await;
        let meant = meant.expect("read").expect("meant");
        assert_eq!(meant.arrival.batch, batch, "{name}");
        let elsewhere = [
            FileName {
                tenant: TenantName::parse("zorg").expect("a name"),
                ..file(name)
            },
            FileName {
                folder: DropFolder::DryRun,
                ..file(name)
            },
            file(&format!("{name}.x")),
        ];
        for other in elsewhere {
            let meant = store.meant(other.clone(), arrival.received_at).await;
            assert_eq!(meant.expect("read"), None, "{other:?}");
        }
    }
    let before = arrival.received_at.plus_ms(-1);
    let meant = store.meant(file(&arrival.name), before).await;
    assert_eq!(meant.expect("read"), None, "it came later");
}
