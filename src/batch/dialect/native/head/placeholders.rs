//! What the head says about placeholders: their names in order, or values for rows that give none.

use super::super::{PLACEHOLDERS_MAX, key_twice, resolve, too_many, word, wrong_kind};
use super::{HeadMember, Reading};
use crate::batch::fault::{Code, Trouble};
use crate::batch::template::{Template, quoted_list, unknown_hint};
use crate::batch::tree::{Node, Value, duplicates};
use crate::batch::values::Given;

impl<'a> Reading<'a> {
    /// Names of placeholders, or values for rows that give none.
    pub(super) fn placeholders(&mut self, member: &'a HeadMember, node: &Node<'_>) {
        match &node.value {
            Value::List(nodes) if nodes.len() > PLACEHOLDERS_MAX => {
                self.fault(member, too_many(nodes.len()), &[], node.at);
            }
            Value::Object(entries) if entries.len() > PLACEHOLDERS_MAX => {
                self.fault(member, too_many(entries.len()), &[], node.at);
            }
            Value::List(nodes) => self.declared(member, node.at, nodes),
            Value::Object(entries) => {
                for entry in duplicates(entries) {
                    self.fault(member, key_twice(), &[&entry.key], entry.key_at);
                }
                let values: Vec<(String, Node<'static>, usize, usize)> = entries
                    .iter()
                    .map(|entry| {
                        let node = owned(&entry.node);
                        (entry.key.to_string(), node, entry.key_at, entry.node.at)
                    })
                    .collect();
                self.values(member, values);
            }
            _ => {
                let expected = "an array of names, or an object of values by name";
                self.fault(member, wrong_kind(expected, node), &[], node.at);
            }
        }
    }

    fn declared(&mut self, member: &'a HeadMember, at: usize, nodes: &[Node<'_>]) {
        let mut declared = Vec::new();
        for (place, node) in nodes.iter().enumerate() {
            let place = place.to_string();
            match word(node) {
                Ok(name) if declared.iter().any(|known| known == name) => {
                    let trouble = Trouble::new(
                        Code::TemplatePlaceholders,
                        "each name once",
                        "a name given twice",
                    );
                    self.fault(member, trouble, &[&place], node.at);
                }
                Ok(name) => declared.push(name.to_owned()),
                Err(trouble) => {
                    let hint = "at the top `placeholders` lists the names; rows give the values";
                    self.fault(member, trouble.hint(hint), &[&place], node.at);
                }
            }
        }
        if declared.len() == nodes.len() {
            match self.head.native.template.clone() {
                Some(template) => {
                    self.declared_of_template(member, at, nodes, &declared, &template);
                }
                None => self.declared_of_text(member, at, nodes, &declared),
            }
        }
        self.head.native.declared = declared;
    }

    fn declared_of_template(
        &mut self,
        member: &'a HeadMember,
        at: usize,
        nodes: &[Node<'_>],
        declared: &[String],
        template: &Template,
    ) {
        let names = template.names();
        let expected = match names.len() {
            0 => "no names: this template has no placeholders".to_owned(),
            _ if template.is_named() => {
                format!("the names of the template: {}", quoted_list(names))
            }
            1 => "1 name, for the one placeholder of the template".to_owned(),
            count => format!("{count} names, one for each placeholder of the template"),
        };
        if names.len() != declared.len() {
            let found = match declared.len() {
                1 => "1 name".to_owned(),
                count => format!("{count} names"),
            };
            let trouble = Trouble::new(Code::TemplatePlaceholders, expected, found);
            self.fault(member, trouble, &[], at);
            return;
        }
        if !template.is_named() {
            return;
        }
        for (place, name) in declared.iter().enumerate() {
            if template.position(name).is_none() {
                let found = "another name";
                let trouble = Trouble::new(Code::TemplatePlaceholders, expected.clone(), found)
                    .hint(unknown_hint(name, names));
                self.fault(member, trouble, &[&place.to_string()], nodes[place].at);
            }
        }
    }

    fn declared_of_text(
        &mut self,
        member: &'a HeadMember,
        at: usize,
        nodes: &[Node<'_>],
        declared: &[String],
    ) {
        let Some(text) = self.head.native.message.clone() else {
            return;
        };
        let expected = match text.names.len() {
            0 => "no names: the text has no placeholders".to_owned(),
            _ => format!("the names in the text: {}", quoted_list(&text.names)),
        };
        for (place, name) in declared.iter().enumerate() {
            if !text.names.contains(name) {
                let trouble =
                    Trouble::new(Code::TemplatePlaceholders, expected.clone(), "another name")
                        .hint(unknown_hint(name, &text.names));
                self.fault(member, trouble, &[&place.to_string()], nodes[place].at);
            }
        }
        if text.names.iter().any(|name| !declared.contains(name)) {
            let trouble = Trouble::new(Code::TemplatePlaceholders, expected, "not all of them");
            let hint = "the text has a placeholder that this list does not name";
            self.fault(member, trouble.hint(hint), &[], at);
        }
    }

    fn values(
        &mut self,
        member: &'a HeadMember,
        values: Vec<(String, Node<'static>, usize, usize)>,
    ) {
        let template = self.head.native.template.clone();
        let text = self.head.native.message.clone();
        match (&template, &text) {
            (Some(template), _) => {
                let names = template.names();
                let given: Vec<Given<'_>> = values
                    .iter()
                    .map(|(key, node, ..)| Given {
                        name: resolve(key, names, &[]).unwrap_or(key),
                        node,
                    })
                    .collect();
                for found in template.check(&given) {
                    // What is missing here, rows may give.
                    let Some((key, _, key_at, at)) = found.given.and_then(|at| values.get(at))
                    else {
                        continue;
                    };
                    let at = match found.trouble.code {
                        Code::ParameterUnknown => key_at,
                        _ => at,
                    };
                    self.fault(member, found.trouble, &[key], *at);
                }
            }
            (None, text) => {
                for (key, node, key_at, at) in &values {
                    if node.text().is_none() {
                        let trouble = Trouble::new(Code::ParameterWrongKind, "a text", node.kind())
                            .hint("put the value in quotation marks");
                        self.fault(member, trouble, &[key], *at);
                    } else if let Some(text) = text
                        && resolve(key, &text.names, &[]).is_none()
                    {
                        let expected = match text.names.len() {
                            0 => "no values: the text has no placeholders".to_owned(),
                            _ => format!("a placeholder of the text: {}", quoted_list(&text.names)),
                        };
                        let found = "another name";
                        let trouble = Trouble::new(Code::ParameterUnknown, expected, found)
                            .hint(unknown_hint(key, &text.names));
                        self.fault(member, trouble, &[key], *key_at);
                    }
                }
            }
        }
        self.head.native.values = values
            .into_iter()
            .map(|(key, node, ..)| (key, node))
            .collect();
    }
}

/// A value that outlives the bytes it was read from. Only texts are ever filled in; of others the
/// kind is all that matters.
fn owned(node: &Node<'_>) -> Node<'static> {
    let value = match &node.value {
        Value::Text(text) => Value::Text(text.to_string().into()),
        Value::Null => Value::Null,
        Value::Bool(it) => Value::Bool(*it),
        Value::Number(_) => Value::Number("0"),
        Value::List(_) => Value::List(Vec::new()),
        Value::Object(_) => Value::Object(Vec::new()),
    };
    Node {
        at: node.at,
        end: node.end,
        value,
    }
}
