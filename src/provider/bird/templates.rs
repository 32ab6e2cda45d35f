//! What templates a workspace has, as definitions that rows are checked by. Bird keeps a template
//! in a project, which may have several versions of it, each in several languages; what a message
//! names is the project. Asking and keeping what comes are left to others.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value as Json, json};

use super::{Bird, LATEST};
use crate::delivery::Reason;
use crate::provider::cause::Cause;
use crate::provider::templates::{Reading, Step};
use crate::provider::{Reply, Request};

mod blocks;
#[cfg(test)]
mod tests;

/// The most items of one page.
const PAGE_ITEMS: usize = 100;

/// The most requests of one pull, at which it is given up.
pub const REQUESTS_MAX: usize = 20_000;

/// A list of templates in the making.
#[derive(Debug)]
pub struct Pull {
    bird: Bird,
    /// The projects whose templates were not asked for.
    waiting: VecDeque<Json>,
    /// The one that is asked for, with those of its templates that came.
    current: Option<(Json, Vec<Json>)>,
    /// Definitions, as the Cloud API writes them.
    found: Vec<Json>,
    requests: usize,
}

impl Bird {
    /// Begins to list the templates of the workspace.
    pub(super) fn pulling(&self) -> Pull {
        Pull {
            bird: self.clone(),
            waiting: VecDeque::new(),
            current: None,
            found: Vec::new(),
            requests: 1,
        }
    }
}

impl Reading for Pull {
    fn next(&mut self, reply: Option<&Reply>) -> Step<Vec<Json>> {
        match reply {
            None => Step::Ask(self.request("/projects", None)),
            Some(reply) => self.pulled(reply),
        }
    }
}

impl Pull {
    /// What comes next, after this reply to the request before.
    fn pulled(&mut self, reply: &Reply) -> Step<Vec<Json>> {
        let page = match (Page::read(reply), &self.current) {
            (Ok(page), _) => page,
            // A project that was removed meanwhile has no templates.
            (Err(Trouble::Missing(_)), Some(_)) => Page::default(),
            (Err(Trouble::Missing(reason) | Trouble::Other(reason)), _) => {
                return Step::Failed(self.without_key(reason));
            }
        };
        self.take(page.results);
        self.requests += 1;
        if self.requests > REQUESTS_MAX {
            let detail = "the list of templates does not end";
            return Step::Failed(Cause::Refused.reason(detail, String::new()));
        }
        if let Some(token) = page.next {
            return Step::Ask(self.request(&self.path(), Some(&token)));
        }
        if let Some((project, templates)) = self.current.take() {
            let version = &self.bird.settings.template_version;
            self.found
                .extend(definitions(&project, &templates, version));
        }
        match self.waiting.pop_front() {
            Some(project) => {
                self.current = Some((project, Vec::new()));
                Step::Ask(self.request(&self.path(), None))
            }
            None => Step::Done(std::mem::take(&mut self.found)),
        }
    }

    fn take(&mut self, results: Vec<Json>) {
        match &mut self.current {
            Some((_, templates)) => templates.extend(results),
            None => self.waiting.extend(results.into_iter().filter(is_of_use)),
        }
    }

    fn path(&self) -> String {
        match &self.current {
            Some((project, _)) => {
                let id = project["id"].as_str().unwrap_or_default();
                format!("/projects/{id}/channel-templates")
            }
            None => "/projects".into(),
        }
    }

    fn request(&self, path: &str, token: Option<&str>) -> Request {
        let Bird {
            base_url, settings, ..
        } = &self.bird;
        let mut url = format!(
            "{base_url}/workspaces/{}{path}?limit={PAGE_ITEMS}",
            settings.workspace_id
        );
        if let Some(token) = token {
            url.push_str("&pageToken=");
            url.extend(url::form_urlencoded::byte_serialize(token.as_bytes()));
        }
        Request::get(url, &self.bird.credential)
    }

    fn without_key(&self, reason: Reason) -> Reason {
        let detail = self.bird.credential.removed_from(&reason.detail);
        Reason { detail, ..reason }
    }
}

/// Whether a project is a template, and for WhatsApp, as far as it says so.
fn is_of_use(project: &Json) -> bool {
    let platforms = project["supportedPlatforms"].as_array();
    let kind = project["type"].as_str();
    // What stands in an address must be an id.
    project["id"].as_str().is_some_and(super::is_uuid)
        && kind.is_none_or(|kind| kind == "channelTemplate")
        && platforms.is_none_or(|all| all.is_empty() || all.iter().any(|it| it == "whatsapp"))
}

/// One page of a list.
#[derive(Default)]
struct Page {
    results: Vec<Json>,
    next: Option<String>,
}

/// Why there is no page.
enum Trouble {
    /// There is no such thing.
    Missing(Reason),
    /// Anything else.
    Other(Reason),
}

impl Page {
    fn read(reply: &Reply) -> Result<Self, Trouble> {
        let other = |cause: Cause, why: &str| Trouble::Other(cause.reason(why, String::new()));
        let (status, body) = match reply {
            Reply::Answer { status, body, .. } => (*status, body),
            Reply::NeverLeft { why } => return Err(other(Cause::Unreachable, why)),
            Reply::NoAnswer { why } => return Err(other(Cause::Unavailable, why)),
        };
        let body: Json = serde_json::from_slice(body).unwrap_or_default();
        if !(200..300).contains(&status) {
            return Err(refused(status, &body));
        }
        let Some(results) = body["results"].as_array() else {
            return Err(other(Cause::Address, "the answer is no list"));
        };
        let next = body["nextPageToken"].as_str();
        Ok(Self {
            results: results.clone(),
            next: next.filter(|token| !token.is_empty()).map(str::to_owned),
        })
    }
}

fn refused(status: u16, body: &Json) -> Trouble {
    let code = body["code"].as_str().unwrap_or_default().to_owned();
    let words = match body["message"].as_str() {
        Some(words) => words.to_owned(),
        None => format!("HTTP {status}"),
    };
    let reason = |cause: Cause| cause.reason(&words, code);
    match status {
        401 => Trouble::Other(reason(Cause::Credentials)),
        403 => Trouble::Other(reason(Cause::Permission)),
        404 => Trouble::Missing(reason(Cause::Address)),
        429 => Trouble::Other(reason(Cause::Throttled)),
        300..=399 => Trouble::Other(reason(Cause::Address)),
        500.. => Trouble::Other(reason(Cause::Unavailable)),
        _ => Trouble::Other(reason(Cause::Refused)),
    }
}

/// The definitions of one project, one for each of its languages.
fn definitions(project: &Json, templates: &[Json], version: &str) -> Vec<Json> {
    let sent = sent(project, templates, version);
    let mut by_language: BTreeMap<String, (bool, Json)> = BTreeMap::new();
    for template in templates {
        let is_sent = sent.is_none_or(|id| template["id"] == id);
        for (locale, content) in locales(template) {
            let status = status(template, &locale, is_sent);
            let approved = status == "APPROVED";
            let definition = definition((project, template), (&locale, content), &status);
            let held = by_language.get(&locale);
            // Of versions that cannot be sent the last one tells more than none.
            if held.is_none_or(|(held, _)| approved || !held) {
                by_language.insert(locale, (approved, definition));
            }
        }
    }
    let definitions = by_language.into_values();
    definitions.map(|(_, definition)| definition).collect()
}

/// The version that a message is sent with; `None` where the project does not tell, so that any
/// that is active may be.
fn sent<'a>(project: &'a Json, templates: &[Json], version: &'a str) -> Option<&'a str> {
    let id = match version {
        LATEST => project["activeResourceId"].as_str()?,
        version => version,
    };
    templates.iter().any(|it| it["id"] == id).then_some(id)
}

/// The languages of a template with their blocks, where the answer has them.
fn locales(template: &Json) -> Vec<(String, Option<&Json>)> {
    if let Some(contents) = template["platformContent"].as_array() {
        let of_whatsapp = |it: &&Json| it["platform"] == "whatsapp";
        let contents = contents.iter().filter(of_whatsapp);
        return contents
            .filter_map(|it| Some((it["locale"].as_str()?.to_owned(), Some(it))))
            .collect();
    }
    let named = template["localeStatuses"].as_object();
    let named: Vec<&str> = named
        .into_iter()
        .flatten()
        .map(|it| it.0.as_str())
        .collect();
    let default = template["defaultLocale"].as_str();
    let locales = if named.is_empty() {
        default.into_iter().collect()
    } else {
        named
    };
    let locales = locales.into_iter();
    locales.map(|locale| (locale.to_owned(), None)).collect()
}

/// The state in the Cloud API's words. What is active was approved; no other state is said to be.
fn status(template: &Json, locale: &str, is_sent: bool) -> String {
    let whole = template["status"].as_str().unwrap_or("unknown");
    let own = template["localeStatuses"][locale].as_str().unwrap_or(whole);
    match (whole, own) {
        ("active", "active") if is_sent => "APPROVED".into(),
        ("active", "active") => "SUPERSEDED".into(),
        ("active", other) | (other, _) => other.to_uppercase(),
    }
}

fn definition(
    (project, template): (&Json, &Json),
    (locale, content): (&str, Option<&Json>),
    status: &str,
) -> Json {
    let deployed = |key: &str| {
        let all = template["deployments"].as_array().into_iter().flatten();
        let mut own = all.filter(|it| it["key"] == key);
        let is_here = |it: &&Json| it["locale"].is_null() || it["locale"] == locale;
        own.find(is_here).and_then(|it| it["value"].as_str())
    };
    let name = deployed("whatsappTemplateName").or(project["name"].as_str());
    let built = match content {
        Some(content) => blocks::built(content, template, locale),
        None => blocks::guessed(template, name.unwrap_or_default()),
    };
    let mut definition = json!({
        "id": project["id"],
        "name": name,
        "language": locale.replace('-', "_"),
        "status": status,
        "parameter_format": "NAMED",
        "components": built.components,
    });
    if let Some(category) = deployed("whatsappCategory") {
        definition["category"] = json!(category.to_uppercase());
    }
    if !built.variables.is_empty() {
        definition["variables"] = Json::Object(built.variables);
    }
    definition
}
