//! Which dialect a file is written in, told by its shape alone; and for a file of no dialect, which
//! one it comes nearest to.

use std::sync::LazyLock;

use super::near::Known;
use super::{Dialect, native};
use crate::batch::fault::{Code, Trouble};
use crate::batch::read::Layout;
use crate::batch::scan::ROWS_KEYS;
use crate::batch::tree::{Node, Value};

/// What is outermost in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::batch) enum Top {
    /// One object.
    Object,
    /// One array.
    Array,
    /// A JSON text on each line.
    Lines,
}

/// What a file looks like from outside.
#[derive(Clone, Debug)]
pub(in crate::batch) struct Shape<'a> {
    /// What is outermost.
    pub(in crate::batch) top: Top,
    /// The keys of the one object.
    pub(in crate::batch) keys: Vec<&'a str>,
    /// Those of its keys that hold an array and could be those of the rows.
    pub(in crate::batch) lists: Vec<&'static str>,
    /// The first element of the array, or line, that shows a dialect; or else the first one.
    pub(in crate::batch) first: Option<Node<'a>>,
}

/// What is known of a dialect's shape.
struct Mark {
    dialect: Dialect,
    /// The key of its rows in one object; `None` if each file or element is a whole request.
    rows: Option<&'static str>,
    /// Keys that no other dialect has: one is enough.
    sure: &'static [&'static str],
    /// Keys that it may share with others.
    usual: &'static [&'static str],
    /// Keys without which it is nothing.
    needed: &'static [&'static str],
}

/// The dialects of which an element or a line is a whole request, and the key that is a sure mark.
const LINES_SURE: [(Dialect, &str); 3] = [
    (Dialect::CloudApi, "messaging_product"),
    (Dialect::Bird, "receiver"),
    (Dialect::WebexConnect, "deliverychannel"),
];

/// The dialects, those with the clearest marks first.
const MARKS: [Mark; 6] = [
    Mark {
        dialect: Dialect::WebexConnect,
        rows: Some("destination"),
        sure: &["deliverychannel", "appid", "destination"],
        usual: &["channels", "message", "correlationid", "notifyurl"],
        needed: &["deliverychannel", "appid", "destination"],
    },
    Mark {
        dialect: Dialect::CloudApi,
        rows: None,
        sure: &[
            "messaging_product",
            "recipient_type",
            "biz_opaque_callback_data",
        ],
        usual: &["to", "type", "template"],
        needed: &["messaging_product", "to", "type"],
    },
    Mark {
        dialect: Dialect::Bird,
        rows: None,
        sure: &["receiver"],
        usual: &["template", "body", "scheduledFor"],
        needed: &["receiver", "template"],
    },
    Mark {
        dialect: Dialect::Infobip,
        rows: Some("messages"),
        sure: &["messages", "bulkId"],
        usual: &["from", "messageId", "content"],
        needed: &["messages"],
    },
    Mark {
        dialect: Dialect::Botsquad,
        rows: Some("users"),
        sure: &["users"],
        usual: &["template", "params"],
        needed: &["template", "users"],
    },
    Mark {
        dialect: Dialect::Native,
        rows: Some("data"),
        sure: &["data", "templateName", "campaignName", "placeholders"],
        usual: &["to", "from", "message"],
        needed: &["data"],
    },
];

impl Shape<'_> {
    fn first_has(&self, key: &str) -> bool {
        self.first_entry(key).is_some()
    }

    fn first_entry(&self, key: &str) -> Option<&Node<'_>> {
        let Value::Object(entries) = &self.first.as_ref()?.value else {
            return None;
        };
        entries
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.node)
    }

    fn has(&self, key: &str) -> bool {
        match self.top {
            Top::Object => self.keys.contains(&key),
            Top::Array | Top::Lines => self.first_has(key),
        }
    }

    /// A row of the native form may hold a template object of the Cloud API's by mistake only.
    fn is_cloud_template(&self) -> bool {
        let member = |node: &Node<'_>, wanted: &str| match &node.value {
            Value::Object(entries) => entries.iter().any(|entry| entry.key == wanted),
            _ => false,
        };
        self.first_entry("template")
            .is_some_and(|template| member(template, "name") && member(template, "language"))
            && !self.first_has("templateName")
    }
}

/// Whether a row of an array, or a line, shows which dialect it is written in. One that is broken
/// shows nothing, and must not decide for those after it.
pub(in crate::batch) fn shows_dialect(top: Top, row: &[u8]) -> bool {
    let shape = Shape {
        top,
        keys: Vec::new(),
        lists: Vec::new(),
        first: Node::parse(row),
    };
    // A line with a recipient of its own is ours, unless it is a message that lacks its mark.
    let is_native = || shape.first_has("to") && !shape.first_has("type");
    element(&shape).is_some() || (top == Top::Lines && is_native())
}

/// The dialect of a file, and where its rows stand; or what is missing.
pub(in crate::batch) fn recognise(shape: &Shape<'_>) -> Result<(Dialect, Layout), Trouble> {
    match shape.top {
        Top::Object => object(shape),
        Top::Lines => match elsewhere(shape) {
            Some(mark) => Err(line(mark)),
            None => Ok((element(shape).unwrap_or(Dialect::Native), Layout::Lines)),
        },
        Top::Array => match element(shape) {
            Some(dialect) => Ok((dialect, Layout::Array)),
            None => Err(array(shape)),
        },
    }
}

fn object(shape: &Shape<'_>) -> Result<(Dialect, Layout), Trouble> {
    // Rows under `data` are the native form's, whatever else stands beside them.
    let native = ROWS_KEYS[0];
    if shape.lists.contains(&native) {
        return Ok((Dialect::Native, Layout::Keyed(native)));
    }
    let listed = MARKS.iter().find_map(|mark| {
        let rows = mark.rows.filter(|rows| shape.lists.contains(rows))?;
        Some((mark.dialect, Layout::Keyed(rows)))
    });
    if let Some(found) = listed {
        return Ok(found);
    }
    let single = [
        (Dialect::CloudApi, "messaging_product"),
        (Dialect::Bird, "receiver"),
    ];
    if let Some((dialect, _)) = single.into_iter().find(|(_, key)| shape.has(key)) {
        return Ok((dialect, Layout::Single));
    }
    Err(nearest(shape))
}

/// The dialect in which each element of an array, or each line, is a whole request.
fn element(shape: &Shape<'_>) -> Option<Dialect> {
    let sure = LINES_SURE.into_iter().find(|(_, key)| shape.first_has(key));
    match sure {
        Some((Dialect::CloudApi, _)) => Some(Dialect::CloudApi),
        _ if shape.is_cloud_template() => Some(Dialect::CloudApi),
        sure => sure.map(|(dialect, _)| dialect),
    }
}

/// The dialect without rows on lines that the first line surely is written in: it names nothing
/// that a row of the native form could send, and has no mark of those that have lines.
fn elsewhere(shape: &Shape<'_>) -> Option<&'static Mark> {
    let entries = shape.first.as_ref()?.entries();
    let sure = |key: &str| LINES_SURE.iter().any(|(_, sure)| *sure == key);
    if entries
        .iter()
        .any(|entry| sure(&entry.key) || native::names_content(entry))
    {
        return None;
    }
    let is_list = |key: &str| {
        let node = shape.first_entry(key);
        node.is_some_and(|node| matches!(node.value, Value::List(_)))
    };
    let content = shape.first_entry("content");
    let is_infobip = content.is_some_and(|node| matches!(node.value, Value::Object(_)));
    MARKS
        .iter()
        .filter(|mark| mark.dialect != Dialect::Native)
        .find(|mark| {
            mark.rows.is_some_and(is_list) || mark.dialect == Dialect::Infobip && is_infobip
        })
}

/// What is said of a line in a form that has no lines.
fn line(mark: &Mark) -> Trouble {
    let name = words(mark.dialect);
    let hint = format!(
        "upload it as a `.json` file with the array `{}`; a line is a row of our own form, or a \
         whole message of the Cloud API or Bird, or a whole request of Webex Connect",
        mark.rows.unwrap_or_default()
    );
    no_batch(format!("lines near to {name}")).hint(hint)
}

fn array(shape: &Shape<'_>) -> Trouble {
    let expected = "an object with `data`";
    let hint = match likest(shape).map(|mark| mark.dialect) {
        Some(Dialect::Infobip) if !shape.first_has("to") || shape.first_has("content") => {
            "it comes nearest to Infobip's form: write { \"messages\": [ … ] } around it"
        }
        _ => "write { \"data\": [ … ] } around it, with the template beside `data`",
    };
    Trouble::new(Code::BatchShape, expected, "an array").hint(hint)
}

/// What a file with an object lacks to be of the dialect that it comes nearest to.
fn nearest(shape: &Shape<'_>) -> Trouble {
    if let Some(trouble) = misspelt_rows(shape) {
        return trouble;
    }
    let Some(mark) = likest(shape).filter(|mark| mark.dialect != Dialect::Native) else {
        let hint = if shape.has("to") {
            "write \"data\": [ { \"to\": … } ], also for one recipient"
        } else {
            "`data` is an array with one object for each recipient"
        };
        return Trouble::new(
            Code::BatchMissingKey,
            "the key `data` with the rows",
            "none",
        )
        .hint(hint);
    };
    let missing: Vec<String> = mark
        .needed
        .iter()
        .filter(|key| !shape.has(key) || mark.rows == Some(**key))
        .map(|key| {
            if mark.rows == Some(*key) {
                format!("the array `{key}`")
            } else {
                format!("`{key}`")
            }
        })
        .collect();
    let name = words(mark.dialect);
    let mut hint = format!("for {name} there is missing: {}", missing.join(", "));
    if mark.dialect == Dialect::Infobip && shape.has("content") {
        hint += "; only template messages stand there, session messages in our own form";
    }
    no_batch(format!("something near to {name}")).hint(hint)
}

/// What a file lacks whose rows stand under a key that nearly is the one of a dialect. Our own form
/// tells its misspelt keys by itself.
fn misspelt_rows(shape: &Shape<'_>) -> Option<Trouble> {
    static ROWS: LazyLock<Known<&str>> = LazyLock::new(|| Known::of(ROWS_KEYS));
    let is_known = |key: &str| {
        let keys = |mark: &Mark| mark.sure.contains(&key) || mark.usual.contains(&key);
        MARKS.iter().any(keys)
    };
    let mut unknown = shape.keys.iter().filter(|key| !is_known(key));
    let rows = unknown.find_map(|key| ROWS.near(key))?;
    let mark = MARKS.iter().find(|mark| mark.rows == Some(rows))?;
    if mark.dialect == Dialect::Native || shape.has(rows) {
        return None;
    }
    let name = words(mark.dialect);
    let found = format!("something near to {name}");
    Some(no_batch(found).hint(format!("did you mean `{rows}`?")))
}

/// The dialect that shares most keys with the file; `None` if there is no sign of any.
fn likest(shape: &Shape<'_>) -> Option<&'static Mark> {
    let score = |mark: &Mark| {
        let sure = mark.sure.iter().filter(|key| shape.has(key)).count();
        let usual = mark.usual.iter().filter(|key| shape.has(key)).count();
        3 * sure + usual
    };
    MARKS
        .iter()
        .map(|mark| (score(mark), mark))
        .rev()
        .max_by_key(|(score, _)| *score)
        .filter(|(score, _)| *score > 0)
        .map(|(_, mark)| mark)
}

fn no_batch(found: String) -> Trouble {
    let expected = "a batch in one of the forms of the manual";
    Trouble::new(Code::BatchShape, expected, found)
}

fn words(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Native => "our own form",
        Dialect::CloudApi => "a message of the Cloud API",
        Dialect::Infobip => "Infobip's form",
        Dialect::Bird => "a message of Bird",
        Dialect::WebexConnect => "a request of Webex Connect",
        Dialect::Botsquad => "a broadcast of Botsquad",
    }
}
