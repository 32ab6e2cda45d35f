//! The templates of an account: read page by page, made, changed and removed.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value as Json;
use url::form_urlencoded::byte_serialize;

use super::{GraphError, MetaCloud};
use crate::delivery::Reason;
use crate::provider::cause::Cause;
use crate::provider::meaning::{self, Answer};
use crate::provider::templates::{Change, Reading, Step};
use crate::provider::{Method, Reply, Request};

/// What is asked of each template. The default leaves out whether placeholders have names.
const FIELDS: &str = "id,name,language,status,category,sub_category,components,parameter_format,\
                      quality_score,rejected_reason";

/// How many templates a page has: an answer with more might be longer than what is read of one.
const PAGE: usize = 50;

/// A page of the list.
#[derive(Deserialize)]
struct Page {
    data: Vec<Json>,
    #[serde(default)]
    paging: Paging,
}

#[derive(Default, Deserialize)]
struct Paging {
    #[serde(default)]
    cursors: Cursors,
    next: Option<String>,
}

#[derive(Default, Deserialize)]
struct Cursors {
    after: Option<String>,
}

impl Page {
    /// Where the next page begins; `None` after the last.
    fn after(&self) -> Option<&str> {
        // The address of the next page is not followed: it could lead the token elsewhere.
        self.paging.next.as_ref()?;
        let after = self.paging.cursors.after.as_deref();
        after.filter(|_| !self.data.is_empty())
    }
}

/// The pages that were read so far.
#[derive(Debug)]
pub(super) struct Pages {
    cloud: MetaCloud,
    list: String,
    found: Vec<Json>,
    /// Where pages began.
    begun: HashSet<String>,
}

impl Reading for Pages {
    fn next(&mut self, reply: Option<&Reply>) -> Step<Vec<Json>> {
        let Some(reply) = reply else {
            return self.ask("");
        };
        let page = match self.cloud.read::<Page>(reply) {
            Ok(page) => page,
            Err(reason) => return Step::Failed(reason),
        };
        let after = page.after().map(str::to_owned);
        self.found.extend(page.data);
        let Some(after) = after else {
            return Step::Done(std::mem::take(&mut self.found));
        };
        let more = format!("&after={}", escaped(&after));
        if self.begun.insert(after) {
            return self.ask(&more);
        }
        Step::Failed(Cause::UnreadableAnswer.reason("its pages begin anew", String::new()))
    }
}

impl Pages {
    fn ask(&self, more: &str) -> Step<Vec<Json>> {
        let url = format!("{}?fields={FIELDS}&limit={PAGE}{more}", self.list);
        Step::Ask(Request::get(url, &self.cloud.credential))
    }
}

impl MetaCloud {
    /// Begins to read the templates; `None` where it is not said whose.
    pub(super) fn pages(&self) -> Option<Pages> {
        Some(Pages {
            list: self.list()?,
            cloud: self.clone(),
            found: Vec::new(),
            begun: HashSet::new(),
        })
    }

    /// What comes next in changing a template.
    pub(super) fn next_of_change(&self, change: &Change, replies: &[Reply]) -> Option<Step<Json>> {
        let list = self.list()?;
        let post = |url: String, body: &Json| {
            Step::Ask(Request::post(url, body.to_string(), &self.credential))
        };
        let (name, language, definition) = match (change, replies) {
            (Change::Create { definition }, []) => return Some(post(list, definition)),
            (
                Change::Delete {
                    name,
                    language: None,
                },
                [],
            ) => {
                return Some(self.remove(&format!("{list}?name={}", escaped(name))));
            }
            (Change::Create { .. } | Change::Delete { language: None, .. }, [reply, ..])
            | (_, [_, reply, ..]) => return Some(self.verdict(reply)),
            (
                Change::Edit {
                    name,
                    language,
                    definition,
                },
                _,
            ) => (name, language.as_deref(), Some(definition)),
            (Change::Delete { name, language }, _) => (name, language.as_deref(), None),
        };
        // A template in one language goes by its id alone, which has to be looked up.
        let Some(reply) = replies.first() else {
            let url = format!(
                "{list}?fields=id,name,language&limit={PAGE}&name={}",
                escaped(name)
            );
            return Some(Step::Ask(Request::get(url, &self.credential)));
        };
        let id = match self.id_of(reply, name, language) {
            Ok(id) => id,
            Err(reason) => return Some(Step::Failed(reason)),
        };
        Some(match definition {
            Some(definition) => post(format!("{}/{id}", self.base_url), definition),
            None => self.remove(&format!("{list}?hsm_id={id}&name={}", escaped(name))),
        })
    }

    /// Where the templates are; `None` where it is not said whose.
    fn list(&self) -> Option<String> {
        let account = &self.settings.business_account_id;
        let list = || format!("{}/{account}/message_templates", self.base_url);
        (!account.is_empty()).then(list)
    }

    fn remove(&self, url: &str) -> Step<Json> {
        Step::Ask(Request {
            method: Method::Delete,
            ..Request::get(url.into(), &self.credential)
        })
    }

    fn verdict(&self, reply: &Reply) -> Step<Json> {
        match self.read(reply) {
            Ok(verdict) => Step::Done(verdict),
            Err(reason) => Step::Failed(reason),
        }
    }

    /// The id of the one template of this name and language. The list also has those of which the
    /// name is a part.
    fn id_of(&self, reply: &Reply, name: &str, language: Option<&str>) -> Result<String, Reason> {
        let page: Page = self.read(reply)?;
        let is_wanted = |template: &&Json| {
            let language = language.is_none_or(|language| template["language"] == language);
            template["name"] == name && language
        };
        let mut wanted = page.data.iter().filter(is_wanted);
        match (wanted.next(), wanted.next()) {
            (Some(one), None) => {
                let id = one["id"]
                    .as_str()
                    .filter(|id| id.bytes().all(|b| b.is_ascii_digit()));
                id.map(str::to_owned)
                    .ok_or_else(|| Cause::UnreadableAnswer.reason("an id", String::new()))
            }
            (None, _) => {
                let words = "the account has no template of this name and language";
                Err(Cause::TemplateMissing.reason(words, String::new()))
            }
            _ => {
                let words = "the template has several languages; say which";
                Err(Cause::TemplateMissing.reason(words, String::new()))
            }
        }
    }

    /// A good answer, or why there is none.
    fn read<T: for<'de> Deserialize<'de>>(&self, reply: &Reply) -> Result<T, Reason> {
        let answer = meaning::answer(reply).map_err(|outcome| meaning::reason(*outcome))?;
        if !answer.is_success() {
            return Err(self.refused(&answer));
        }
        serde_json::from_slice(answer.body)
            .map_err(|_| meaning::reason(meaning::unreadable(answer.status)))
    }

    fn refused(&self, answer: &Answer<'_>) -> Reason {
        match GraphError::read(answer.body) {
            Some(error) => meaning::reason(self.refusal(answer, &error)),
            None => meaning::reason(meaning::wordless(answer)),
        }
    }
}

fn escaped(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::provider::meta_cloud::Settings;
    use crate::provider::{Adapter as _, Secret};

    const URL: &str = "https://graph.example/v25.0";

    fn adapter() -> MetaCloud {
        MetaCloud::new(URL.into(), Secret::new("EAAG-token")).with(Settings {
            business_account_id: "102290129340398".into(),
            ..Settings::default()
        })
    }

    fn reply(status: u16, body: &Json) -> Reply {
        Reply::Answer {
            status,
            retry_after: None,
            body: body.to_string().into(),
        }
    }

    fn page(names: &[&str], after: Option<&str>) -> Reply {
        let data: Vec<Json> = names
            .iter()
            .map(|name| json!({"name": name, "language": "en", "id": "9"}))
            .collect();
        let mut page = json!({"data": data, "paging": {"cursors": {"after": after}}});
        if after.is_some() {
            page["paging"]["next"] = json!("https://elsewhere.example/");
        }
        reply(200, &page)
    }

    /// What a step asks for, in a line.
    fn asked<T: std::fmt::Debug>(step: Option<Step<T>>) -> String {
        match step.expect("it is said whose") {
            Step::Ask(request) => {
                let body = String::from_utf8_lossy(&request.body).into_owned();
                let url = request.url.replace(URL, "");
                format!("{:?} {url} {body}", request.method)
                    .trim_end()
                    .to_owned()
            }
            other => panic!("{other:?}"),
        }
    }

    fn failed<T: std::fmt::Debug>(step: Option<Step<T>>) -> (String, String) {
        match step.expect("it is said whose") {
            Step::Failed(reason) => (reason.code, reason.detail),
            other => panic!("{other:?}"),
        }
    }

    /// A template of the last page is as good as one of the first, and a token goes to nobody else.
    #[test]
    fn every_page_is_read() {
        let adapter = adapter();
        let list = "Get /102290129340398/message_templates?fields=";
        let mut pages = adapter.pages().expect("it is said whose");
        let mut next = |reply: Option<&Reply>| Some(pages.next(reply));
        let first = asked(next(None));
        assert!(
            first.starts_with(list) && first.ends_with("&limit=50"),
            "{first}"
        );
        let one = page(&["a", "b"], Some("M+a="));
        let second = asked(next(Some(&one)));
        assert!(second.ends_with("&limit=50&after=M%2Ba%3D"), "{second}");
        let Some(Step::Done(all)) = next(Some(&page(&["c"], None))) else {
            panic!("all pages are there");
        };
        let names: Vec<_> = all.iter().map(|template| &template["name"]).collect();
        assert_eq!(names, ["a", "b", "c"]);
        // Pages without an end must have one.
        let (code, _) = failed(next(Some(&one)));
        assert_eq!(code, "provider.unreadable_answer");
        let nobodys = MetaCloud::new(URL.into(), Secret::default());
        assert!(nobodys.pull(&[]).is_none());
    }

    /// A list that was not read must not look like one without templates.
    #[test]
    fn what_is_no_list_changes_nothing() {
        let refusal = json!({"error": {"code": 190, "message": "expired EAAG-token"}});
        for (reply, code) in [
            (reply(401, &refusal), "provider.credentials"),
            (reply(200, &json!({})), "provider.unreadable_answer"),
            (reply(200, &json!([])), "provider.unreadable_answer"),
            (reply(502, &json!("<html>")), "provider.unreadable_answer"),
            (Reply::NeverLeft { why: "x".into() }, "provider.unreachable"),
            (Reply::NoAnswer { why: "x".into() }, "provider.no_answer"),
        ] {
            let mut pages = adapter().pages().expect("it is said whose");
            let (found, words) = failed(Some(pages.next(Some(&reply))));
            assert_eq!(found, code);
            assert!(!words.contains("EAAG"), "{words}");
        }
    }

    /// An edit of the wrong language, or a removal of all of them, cannot be taken back.
    #[test]
    fn a_change_is_for_the_template_that_was_meant() {
        let adapter = adapter();
        let next = |change: &Change, replies: &[Reply]| adapter.change(change, &[], replies);
        let definition = json!({"name": "sale"});
        let create = Change::Create {
            definition: definition.clone(),
        };
        let list = "/102290129340398/message_templates";
        assert_eq!(
            asked(next(&create, &[])),
            format!("Post {list} {{\"name\":\"sale\"}}")
        );
        let verdict = json!({"id": "7", "status": "PENDING"});
        let done = next(&create, &[reply(200, &verdict)]);
        assert_eq!(done, Some(Step::Done(verdict)));
        let told = json!({"error": {"code": 100, "message": "Invalid parameter",
            "error_user_title": "Too long", "error_user_msg": "The body is too long."}});
        let (_, words) = failed(next(&create, &[reply(400, &told)]));
        assert_eq!(words, "The body is too long.");

        let all = Change::Delete {
            name: "sale&x".into(),
            language: None,
        };
        assert_eq!(
            asked(next(&all, &[])),
            format!("Delete {list}?name=sale%26x")
        );
        let language = Some("nl".to_owned());
        let one = Change::Delete {
            name: "sale".into(),
            language: language.clone(),
        };
        assert!(asked(next(&one, &[])).ends_with("&limit=50&name=sale"));
        let known = reply(
            200,
            &json!({"data": [
            {"id": "1", "name": "sale_2", "language": "nl"},
            {"id": "2", "name": "sale", "language": "en"},
            {"id": "3", "name": "sale", "language": "nl"}]}),
        );
        let known = std::slice::from_ref(&known);
        assert_eq!(
            asked(next(&one, known)),
            format!("Delete {list}?hsm_id=3&name=sale")
        );
        let edit = |language| Change::Edit {
            name: "sale".into(),
            language,
            definition: definition.clone(),
        };
        assert_eq!(
            asked(next(&edit(language), known)),
            "Post /3 {\"name\":\"sale\"}"
        );
        assert!(
            failed(next(&edit(None), known))
                .1
                .contains("several languages")
        );
        assert!(
            failed(next(&edit(Some("fi".into())), known))
                .1
                .contains("no template")
        );
    }
}
