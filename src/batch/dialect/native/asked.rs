//! What a file asks of its provider besides handing messages over, key by key. A key that the
//! provider does not honour is told, or refused where leaving it out would change what is
//! delivered.

use super::{ID_CHARS_MAX, Notes, flag, id, word, wrong_kind};
use crate::batch::fault::{Code, Misfit, Trouble};
use crate::batch::terms::{Asked, Terms};
use crate::batch::tree::{Entry, Node, Value};
use crate::batch::{Options, ShortLinks, SmsFailover, UrlOptions};

/// The most tags of a message, and the longest of them, in characters.
const TAGS_MAX: usize = 10;
const TAG_CHARS_MAX: usize = 50;
/// The longest sender of an SMS and the longest text of one, in characters.
const SMS_FROM_CHARS_MAX: usize = 24;
const SMS_TEXT_CHARS_MAX: usize = 4096;
/// The longest domain, in characters.
const DOMAIN_CHARS_MAX: usize = 253;
/// The longest address, in characters.
const URL_CHARS_MAX: usize = 2048;

/// Takes what `entry` asks for into `options`, if the provider honours it.
pub(super) fn take(
    (asked, entry): (Asked, &Entry<'_>),
    terms: &dyn Terms,
    options: &mut Options,
    notes: &mut Notes<'_>,
) {
    let node = &entry.node;
    if !terms.honours(asked) {
        if !node.is_hollow() {
            notes.not_honoured(asked, terms.provider(), entry.key_at);
        }
        return;
    }
    if let Err(misfits) = read(asked, node, options) {
        notes.misfits(misfits);
    }
}

fn read(asked: Asked, node: &Node<'_>, options: &mut Options) -> Result<(), Vec<Misfit>> {
    let alone = |trouble: Trouble| vec![Misfit::new(node.at, trouble)];
    match asked {
        Asked::ReplyTo => options.reply_to = Some(id(node).map_err(alone)?),
        Asked::IdentityHash => options.identity_hash = Some(id(node).map_err(alone)?),
        Asked::EntityId => options.entity_id = Some(id(node).map_err(alone)?),
        Asked::ApplicationId => options.application_id = Some(id(node).map_err(alone)?),
        Asked::UseCase => options.use_case = Some(bounded(node, ID_CHARS_MAX).map_err(alone)?),
        Asked::FrequencyCap => options.frequency_cap = flag(node).map_err(alone)?,
        Asked::Tags => options.tags = tags(node)?,
        Asked::SmsFailover => options.sms_failover = Some(Box::new(sms_failover(node)?)),
        Asked::UrlOptions => options.url_options = Some(Box::new(url_options(node)?)),
        Asked::ShortLinks => options.short_links = Some(Box::new(short_links(node)?)),
    }
    Ok(())
}

/// A text that says something and is not too long.
fn bounded(node: &Node<'_>, chars_max: usize) -> Result<String, Trouble> {
    let text = word(node)?;
    let chars = text.chars().count();
    if chars > chars_max {
        let expected = format!("at most {chars_max} characters");
        return Err(Trouble::new(
            Code::BatchBadValue,
            expected,
            format!("{chars} characters"),
        ));
    }
    Ok(text.to_owned())
}

fn tags(node: &Node<'_>) -> Result<Vec<String>, Vec<Misfit>> {
    let Value::List(nodes) = &node.value else {
        let trouble = wrong_kind("a list of texts", node);
        return Err(vec![Misfit::new(node.at, trouble)]);
    };
    if nodes.len() > TAGS_MAX {
        let expected = format!("at most {TAGS_MAX} tags");
        let found = format!("{} of them", nodes.len());
        let trouble = Trouble::new(Code::BatchBadValue, expected, found);
        return Err(vec![Misfit::new(node.at, trouble)]);
    }
    let mut misfits = Vec::new();
    let mut tags = Vec::with_capacity(nodes.len());
    for node in nodes {
        match tag(node) {
            Ok(tag) => tags.push(tag),
            Err(trouble) => misfits.push(Misfit::new(node.at, trouble)),
        }
    }
    if misfits.is_empty() {
        Ok(tags)
    } else {
        Err(misfits)
    }
}

fn tag(node: &Node<'_>) -> Result<String, Trouble> {
    let text = bounded(node, TAG_CHARS_MAX)?;
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ' ');
    if text.chars().all(good) {
        return Ok(text);
    }
    let expected = "a tag of letters, digits, `-`, `_` and spaces";
    Err(Trouble::new(
        Code::BatchBadValue,
        expected,
        "other characters",
    ))
}

fn sms_failover(node: &Node<'_>) -> Result<SmsFailover, Vec<Misfit>> {
    let mut members = Members::of(node, &["from", "text"])?;
    let from = members.needed("from", |node| bounded(node, SMS_FROM_CHARS_MAX));
    let text = members.needed("text", |node| bounded(node, SMS_TEXT_CHARS_MAX));
    members.done(|| {
        Some(SmsFailover {
            from: from?,
            text: text?,
        })
    })
}

fn url_options(node: &Node<'_>) -> Result<UrlOptions, Vec<Misfit>> {
    let known = [
        "shortenUrl",
        "trackClicks",
        "trackingUrl",
        "removeProtocol",
        "customDomain",
    ];
    let mut members = Members::of(node, &known)?;
    let options = UrlOptions {
        shorten_url: members.read("shortenUrl", flag),
        track_clicks: members.read("trackClicks", flag),
        tracking_url: members.read("trackingUrl", |node| bounded(node, URL_CHARS_MAX)),
        remove_protocol: members.read("removeProtocol", flag),
        custom_domain: members.read("customDomain", |node| bounded(node, DOMAIN_CHARS_MAX)),
    };
    members.done(|| Some(options))
}

fn short_links(node: &Node<'_>) -> Result<ShortLinks, Vec<Misfit>> {
    let mut members = Members::of(node, &["enabled", "domain"])?;
    let links = ShortLinks {
        enabled: members.read("enabled", flag),
        domain: members.read("domain", |node| bounded(node, DOMAIN_CHARS_MAX)),
    };
    members.done(|| Some(links))
}

/// The members of an object that has certain keys only.
struct Members<'n> {
    object: &'n Node<'n>,
    misfits: Vec<Misfit>,
}

impl<'n> Members<'n> {
    fn of(object: &'n Node<'n>, known: &[&str]) -> Result<Self, Vec<Misfit>> {
        let quoted: Vec<String> = known.iter().map(|key| format!("`{key}`")).collect();
        let expected = format!("an object with {}", quoted.join(", "));
        let Value::Object(entries) = &object.value else {
            return Err(vec![Misfit::new(object.at, wrong_kind(&expected, object))]);
        };
        let unknown = entries
            .iter()
            .filter(|entry| !known.contains(&entry.key.as_ref()));
        let misfits = unknown
            .map(|entry| {
                let trouble = Trouble::new(Code::BatchUnknownKey, expected.clone(), "another key");
                Misfit::new(entry.key_at, trouble.hint("remove it"))
            })
            .collect();
        Ok(Self { object, misfits })
    }

    /// The member with this key, if it is there and good.
    fn read<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&Node<'_>) -> Result<T, Trouble>,
    ) -> Option<T> {
        let node = self.object.get(key)?;
        if node.value == Value::Null {
            return None;
        }
        match read(node) {
            Ok(value) => Some(value),
            Err(trouble) => {
                self.misfits.push(Misfit::new(node.at, trouble));
                None
            }
        }
    }

    /// The same for a member without which the object says nothing.
    fn needed<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&Node<'_>) -> Result<T, Trouble>,
    ) -> Option<T> {
        let absent = self
            .object
            .get(key)
            .is_none_or(|node| node.value == Value::Null);
        if absent {
            let trouble = Trouble::new(Code::BatchMissingKey, format!("`{key}`"), "none");
            self.misfits.push(Misfit::new(self.object.at, trouble));
        }
        self.read(key, read)
    }

    fn done<T>(self, made: impl FnOnce() -> Option<T>) -> Result<T, Vec<Misfit>> {
        if self.misfits.is_empty()
            && let Some(made) = made()
        {
            return Ok(made);
        }
        Err(self.misfits)
    }
}
