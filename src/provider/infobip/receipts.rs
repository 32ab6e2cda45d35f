//! What Infobip says later: delivery and seen reports in callbacks, and the same in its logs or in
//! its queue of reports when it is asked. All of them call a message by our own name of its
//! attempt.

use serde::Deserialize;
use serde_json::Value as Json;
use url::form_urlencoded;

use super::statuses::{self, Meaning};
use super::{Infobip, TIMEOUT, errors};
use crate::batch::Moment;
use crate::delivery::AttemptId;
use crate::delivery::receipt::{Callback, Receipt, Says};
use crate::provider::meaning::{self, Class};
use crate::provider::{Reply, Request};

/// The status of a message that is with the operator and not yet with the recipient, though its
/// group is that of the delivered.
const WITH_OPERATOR: i64 = 2;
/// The group of the delivered.
const DELIVERED: i64 = 3;

/// How many reports one question takes out of the queue.
const REPORTS_MAX: usize = 1000;

/// How messages are settled whose answer never came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SettleBy {
    /// By callbacks alone.
    Nothing,
    /// By looking them up in the logs, which takes nothing from anybody.
    #[default]
    Logs,
    /// By the queue of reports, which hands each of them out once.
    Reports,
}

impl SettleBy {
    /// Its name in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Logs => "logs",
            Self::Reports => "reports",
        }
    }
}

#[derive(Deserialize)]
struct News {
    results: Vec<Json>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    message_id: String,
    seen_at: Option<String>,
    done_at: Option<String>,
    sent_at: Option<String>,
    #[serde(default)]
    status: Json,
    #[serde(default)]
    error: Json,
}

impl Infobip {
    /// The receipts in a callback.
    pub(super) fn read_receipts(&self, callback: &Callback) -> Vec<Receipt> {
        self.receipts_in(&callback.body)
    }

    /// The request that asks what became of these attempts.
    pub(super) fn question(&self, ids: &[AttemptId]) -> Option<Request> {
        let path = match self.settings.settle_by {
            SettleBy::Nothing => return None,
            SettleBy::Logs => {
                let mut query = form_urlencoded::Serializer::new(String::new());
                for id in ids {
                    query.append_pair("messageId", &id.to_string());
                }
                format!("/whatsapp/2/logs?{}", query.finish())
            }
            // It can be narrowed to one message only, and each has many.
            SettleBy::Reports => {
                format!("/messages-api/1/reports?channel=WHATSAPP&limit={REPORTS_MAX}")
            }
        };
        Some(Request {
            timeout: TIMEOUT,
            ..Request::get(format!("{}{path}", self.base_url), &self.credential)
        })
    }

    /// What the answer to that says.
    pub(super) fn answered(&self, reply: &Reply) -> Vec<Receipt> {
        match meaning::answer(reply) {
            Ok(answer) if answer.is_success() => self.receipts_in(answer.body),
            _ => Vec::new(),
        }
    }

    fn receipts_in(&self, body: &[u8]) -> Vec<Receipt> {
        // The parser itself bounds the nesting, at 128.
        let news = serde_json::from_slice::<News>(body);
        let reports = news.map_or_else(|_| Vec::new(), |news| news.results);
        let receipts = reports.into_iter().filter_map(|it| self.receipt(it));
        receipts.collect()
    }

    fn receipt(&self, report: Json) -> Option<Receipt> {
        let report = Report::deserialize(report).ok()?;
        let says = match &report.seen_at {
            Some(_) if report.status.is_null() => Says::Read,
            _ => self.says(&report)?,
        };
        let times = [&report.seen_at, &report.done_at, &report.sent_at];
        let at = times.into_iter().flatten().find_map(|it| Moment::parse(it));
        // Without its time a report still says what became of the message.
        let at = at.unwrap_or(Moment::from_millis(0));
        Some(Receipt {
            attempt: AttemptId::parse(&report.message_id),
            provider_id: meaning::provider_id(&report.message_id)?,
            says,
            at,
        })
    }

    fn says(&self, report: &Report) -> Option<Says> {
        let status = &report.status;
        let group = status["groupId"].as_i64()?;
        let id = status["id"].as_i64().unwrap_or_default();
        let (class, cause) = match statuses::meaning(group, id)? {
            Meaning::Taken if group == DELIVERED && id != WITH_OPERATOR => {
                return Some(Says::Delivered);
            }
            Meaning::Taken => return Some(Says::Accepted),
            Meaning::Not(class, cause) => (class, cause),
        };
        let error = &report.error;
        let known = error["id"].as_i64().filter(|id| *id != 0);
        let (class, cause) = known.and_then(errors::meaning).unwrap_or((class, cause));
        // The error is more precise, where there is one.
        let told = if known.is_some() { error } else { status };
        let words = ["name", "description"].map(|key| told[key].as_str().unwrap_or_default());
        let words = if words[0] == words[1] {
            words[0].to_owned()
        } else {
            words.join(": ")
        };
        let code = told["id"]
            .as_i64()
            .map_or_else(String::new, |id| id.to_string());
        Some(Says::Failed {
            reason: cause.reason(&self.credential.removed_from(&words), code),
            in_row: class == Class::BadRow,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Settings;
    use super::*;
    use crate::batch::BatchId;
    use crate::provider::{Adapter as _, CallbackSecrets, Proof, Secret};

    const ATTEMPT: &str = "20261121T091502Z-7kq2xm-4-1";

    fn adapter(settle_by: SettleBy) -> Infobip {
        let settings = Settings {
            settle_by,
            ..Settings::default()
        };
        Infobip::new(
            "https://abc123.api.infobip.com".into(),
            Secret::new("a-token"),
            settings,
        )
    }

    fn callback(results: &Json) -> Callback {
        Callback {
            body: json!({ "results": results }).to_string().into(),
            ..Callback::default()
        }
    }

    fn report(group: i64, id: i64, error: i64) -> Json {
        json!({
            "bulkId": "", "messageId": ATTEMPT, "to": "31612345678", "messageCount": 1,
            "sentAt": "2019-04-09T16:01:56.494-0300", "doneAt": "2019-04-09T16:02:00.000-0300",
            "status": { "groupId": group, "id": id, "name": "A_STATUS", "description": "it says" },
            "error": { "groupId": 1, "id": error, "name": "EC_ERROR", "description": "EC_ERROR",
                "permanent": true },
        })
    }

    /// A report that is misread settles a message wrongly, or not at all.
    #[test]
    fn reports_are_read_as_documented() {
        let infobip = adapter(SettleBy::Nothing);
        let seen = json!({ "messageId": ATTEMPT, "from": "15550001111", "to": "31612345678",
            "sentAt": "2026-11-21T09:15:02.114+0000", "seenAt": "2026-11-21T09:16:00.000+0000" });
        let with_error = |mut report: Json, error: Json| {
            report["error"] = error;
            report
        };
        for (report, word) in [
            (report(1, 7, 0), "accepted"),
            (report(3, 2, 0), "accepted"),
            (report(3, 5, 0), "delivered"),
            (report(5, 23, 0), "accepted"),
            (seen, "read"),
            (
                report(2, 4, 7008),
                "failed provider.parameter 7008 EC_ERROR true",
            ),
            (
                report(2, 4, 7010),
                "failed provider.session 7010 EC_ERROR false",
            ),
            (
                report(2, 4, 7999),
                "failed provider.refused 7999 EC_ERROR false",
            ),
            (
                report(5, 14, 0),
                "failed provider.recipient_opted_out 14 A_STATUS: it says false",
            ),
            (
                report(4, 15, 0),
                "failed provider.expired 15 A_STATUS: it says false",
            ),
            (
                with_error(report(5, 12, 0), Json::Null),
                "failed provider.account 12 A_STATUS: it says false",
            ),
        ] {
            let found = infobip.receipts(&callback(&json!([report])));
            assert_eq!(found.len(), 1, "{report}");
            assert_eq!(found[0].attempt, AttemptId::parse(ATTEMPT));
            assert_eq!(found[0].provider_id, ATTEMPT);
            let told = match &found[0].says {
                Says::Failed { reason, in_row } => format!(
                    "failed {} {} {} {in_row}",
                    reason.code, reason.provider_code, reason.detail
                ),
                other => other.as_str().to_owned(),
            };
            assert_eq!(told, word, "{report}");
        }
        let found = infobip.receipts(&callback(&json!([report(3, 5, 0)])));
        assert_eq!(found[0].at.to_string(), "2019-04-09T19:02:00.000Z");
    }

    /// What a stranger can send must neither be believed nor stop the service.
    #[test]
    fn what_is_no_report_holds_no_receipts() {
        let infobip = adapter(SettleBy::Nothing);
        for results in [
            json!(null),
            json!({}),
            json!([null, 1, "a", [], {}]),
            json!([{ "messageId": 7, "status": { "groupId": 3, "id": 5 } }]),
            json!([{ "messageId": ATTEMPT }]),
            json!([{ "messageId": ATTEMPT, "status": { "groupId": 77 } }]),
        ] {
            assert_eq!(infobip.receipts(&callback(&results)), [], "{results}");
        }
        let deep = Callback {
            body: "[".repeat(100_000).into(),
            ..Callback::default()
        };
        assert_eq!(infobip.receipts(&deep), []);
        let secrets = CallbackSecrets::default();
        assert_eq!(infobip.verify(&deep, &secrets), Proof::Unsigned);
    }

    /// A question that takes reports out of the queue must not be asked where that was not set.
    #[test]
    fn what_is_asked_is_what_was_set() {
        let batch = BatchId::parse("20261121T091502Z-7kq2xm").expect("an id");
        let id = |index| AttemptId {
            batch: batch.clone(),
            index,
            attempt: 1,
        };
        let ids = [id(4), id(5)];
        assert_eq!(adapter(SettleBy::Nothing).ask(&ids), None);
        assert!(!adapter(SettleBy::Nothing).can_be_asked());
        for (settle_by, url) in [
            (
                SettleBy::Logs,
                "/whatsapp/2/logs?messageId=20261121T091502Z-7kq2xm-4-1\
                 &messageId=20261121T091502Z-7kq2xm-5-1",
            ),
            (
                SettleBy::Reports,
                "/messages-api/1/reports?channel=WHATSAPP&limit=1000",
            ),
        ] {
            let asked = adapter(settle_by).ask(&ids).expect("it asks");
            assert_eq!(asked.url, format!("https://abc123.api.infobip.com{url}"));
        }
    }

    /// An answer that says nothing of a message must leave it open.
    #[test]
    fn an_answer_is_told_for_those_that_are_in_it() {
        let infobip = adapter(SettleBy::Logs);
        let reply = |status, body: Json| Reply::Answer {
            status,
            retry_after: None,
            body: body.to_string().into(),
        };
        let log = json!({ "messageId": ATTEMPT, "sender": "1", "destination": "2",
            "sentAt": "2026-11-21T09:15:02.114+0000", "doneAt": "2026-11-21T09:15:03.114+0000",
            "status": { "groupId": 1, "id": 7 }, "error": { "id": 0 }, "content": {} });
        let found = infobip.told(&reply(200, json!({ "results": [log] })));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].says, Says::Accepted);
        assert_eq!(infobip.told(&reply(404, json!({ "results": [log] }))), []);
        assert_eq!(infobip.told(&reply(200, json!({ "results": [] }))), []);
        let silent = Reply::NoAnswer { why: "cut".into() };
        assert_eq!(infobip.told(&silent), []);
    }
}
