//! What stands around the rows of a file that is to be tried again: the head in its own words, for
//! a batch file of the same form with only the rows that were bad. Choosing the rows and writing
//! the file is for others.

use std::io::{self, BufRead};

use super::read::{Layout, Limits};
use super::scan::{Lines, Part, Walk};
use super::tree::{Entry, Node, Value};

/// Keys that would be wrong in a file with other rows: their number, and the key by which the
/// first file is known already.
const LEFT_OUT: [&str; 2] = ["rows", "batchKey"];

/// The words around rows: `before`, the rows with `separator` between them, `after`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// What stands before the first row.
    pub before: Vec<u8>,
    /// What stands between two rows.
    pub separator: &'static [u8],
    /// What stands after the last row.
    pub after: &'static [u8],
}

/// The words around the rows of `source`, a file with this layout whose outline has no fault. An
/// `Err` is a failure of `source` itself.
pub fn retry_envelope(source: impl BufRead, layout: Layout) -> io::Result<Envelope> {
    // What was read before under the tenant's own bounds is within the widest ones.
    let limits = Limits {
        expanded_bytes_max: u64::MAX,
        depth_max: usize::MAX,
        ..Limits::default()
    };
    match layout {
        Layout::Keyed(key) => Ok(Envelope {
            before: keyed_head(source, &limits, key)?,
            separator: b",\n",
            after: b"\n]}\n",
        }),
        // One message alone is an array of one.
        Layout::Array | Layout::Single => Ok(Envelope {
            before: b"[\n".to_vec(),
            separator: b",\n",
            after: b"\n]\n",
        }),
        Layout::Lines => Ok(Envelope {
            before: first_line(source, &limits)?,
            separator: b"\n",
            after: b"\n",
        }),
    }
}

fn keyed_head(source: impl BufRead, limits: &Limits, key: &str) -> io::Result<Vec<u8>> {
    let mut walk = Walk::new(source, limits);
    let mut before = b"{".to_vec();
    loop {
        match walk.next()? {
            Part::Member(member) if LEFT_OUT.contains(&member.key.as_str()) => {}
            Part::Member(member) => {
                serde_json::to_writer(&mut before, &member.key)?;
                before.extend_from_slice(b": ");
                before.extend_from_slice(walk.bytes());
                before.extend_from_slice(b",\n");
            }
            // Lists under the keys of other dialects' rows are no keys of this one.
            Part::Row(_) | Part::List(_) => {}
            Part::End => break,
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
    serde_json::to_writer(&mut before, key)?;
    before.extend_from_slice(b": [\n");
    Ok(before)
}

fn first_line(source: impl BufRead, limits: &Limits) -> io::Result<Vec<u8>> {
    let mut lines = Lines::new(source, limits);
    let mut before = Vec::new();
    let Part::Row(_) = lines.next()? else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let bytes = lines.bytes();
    let Some(Value::Object(entries)) = Node::parse(bytes).map(|node| node.value) else {
        return Ok(before);
    };
    if let [
        Entry {
            key,
            node:
                Node {
                    value: Value::Object(members),
                    ..
                },
            ..
        },
    ] = entries.as_slice()
        && key == "defaults"
    {
        before.extend_from_slice(b"{\"defaults\": {");
        let mut first = true;
        for member in members {
            if LEFT_OUT.contains(&member.key.as_ref()) {
                continue;
            }
            if !first {
                before.extend_from_slice(b", ");
            }
            first = false;
            serde_json::to_writer(&mut before, &member.key)?;
            before.extend_from_slice(b": ");
            before.extend_from_slice(&bytes[member.node.at..member.node.end]);
        }
        before.extend_from_slice(b"}}\n");
    }
    Ok(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(text: &str, layout: Layout, rows: &[&str]) -> String {
        let envelope = retry_envelope(text.as_bytes(), layout).expect("an envelope");
        let mut file = envelope.before;
        for (at, row) in rows.iter().enumerate() {
            if at > 0 {
                file.extend_from_slice(envelope.separator);
            }
            file.extend_from_slice(row.as_bytes());
        }
        file.extend_from_slice(envelope.after);
        String::from_utf8(file).expect("UTF-8")
    }

    /// A tenant drops the mended file as it is: it must say all that the first one said.
    #[test]
    fn the_head_stays_in_its_own_words() {
        let text = r#"{"rows": 2, "campaignName" : "Caf\u00e9", "data": [{"to":"1"}, {"to":"2"}],
            "placeholders": {"a": [1.50, "}"]}, "batchKey": "k"}"#;
        assert_eq!(
            mended(text, Layout::Keyed("data"), &[r#"{"to":"2"}"#]),
            "{\"campaignName\": \"Caf\\u00e9\",\n\"placeholders\": {\"a\": [1.50, \"}\"]},\n\
             \"data\": [\n{\"to\":\"2\"}\n]}\n"
        );
    }

    /// The same for JSON Lines, with and without a head.
    #[test]
    fn a_first_line_stays_if_it_is_a_head() {
        let text = "{\"defaults\": {\"rows\": 2, \"from\": \"1\" , \"a\":[ 1,{} ] }}\n{\"to\":\"1\"}\n{}\n";
        assert_eq!(
            mended(text, Layout::Lines, &["{}", "{\"to\":\"1\"}"]),
            "{\"defaults\": {\"from\": \"1\", \"a\": [ 1,{} ]}}\n{}\n{\"to\":\"1\"}\n"
        );
        assert_eq!(mended("{}\n{}", Layout::Lines, &["{}"]), "{}\n");
    }

    /// A mended file must be told for the same dialect as the first one.
    #[test]
    fn each_layout_keeps_its_own_words() {
        let text = r#"{"bulkId": "b\u002d7", "messages": [{"to":"1"}], "rows": 1, "users": []}"#;
        assert_eq!(
            mended(text, Layout::Keyed("messages"), &["{}"]),
            "{\"bulkId\": \"b\\u002d7\",\n\"messages\": [\n{}\n]}\n"
        );
        for (text, layout) in [("[{}, {}]", Layout::Array), ("{}", Layout::Single)] {
            assert_eq!(mended(text, layout, &["{}", "{ }"]), "[\n{},\n{ }\n]\n");
        }
    }
}
