//! What the head says about placeholders: their names in order, or values for rows that give none.

use super::super::{word, wrong_kind};
use super::Reading;
use crate::batch::fault::{Code, Trouble};
use crate::batch::template::{PLACEHOLDERS_MAX, Template, quoted_list, too_many, unknown_hint};
use crate::batch::tree::{Entry, Node, Value};

impl Reading<'_, '_> {
    /// Names of placeholders, or values for rows that give none.
    pub(super) fn placeholders(&mut self, node: &Node<'_>) {
        match &node.value {
            Value::List(nodes) if nodes.len() > PLACEHOLDERS_MAX => {
                self.notes.fault(too_many(nodes.len()), node.at);
            }
            Value::Object(entries) if entries.len() > PLACEHOLDERS_MAX => {
                self.notes.fault(too_many(entries.len()), node.at);
            }
            Value::List(nodes) => self.declared(node.at, nodes),
            Value::Object(entries) => {
                let kept = self.head.native.parts.keep(0, node);
                self.notes.misfits(kept.err().into_iter().collect());
                if self.head.native.template.is_none() {
                    self.values(entries);
                }
            }
            _ => {
                let expected = "an array of names, or an object of values by name";
                self.notes.fault(wrong_kind(expected, node), node.at);
            }
        }
    }

    fn declared(&mut self, at: usize, nodes: &[Node<'_>]) {
        let mut declared = Vec::new();
        for node in nodes {
            match word(node) {
                Ok(name) if declared.iter().any(|known| known == name) => {
                    let trouble = Trouble::new(
                        Code::TemplatePlaceholders,
                        "each name once",
                        "a name given twice",
                    );
                    self.notes.fault(trouble, node.at);
                }
                Ok(name) => declared.push(name.to_owned()),
                Err(trouble) => {
                    let hint = "at the top `placeholders` lists the names; rows give the values";
                    self.notes.fault(trouble.hint(hint), node.at);
                }
            }
        }
        if declared.len() == nodes.len()
            && let Some(template) = self.head.native.template.clone()
        {
            self.declared_of_template(at, nodes, &declared, &template);
        }
        self.head.native.declared = declared;
    }

    fn declared_of_template(
        &mut self,
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
            self.notes.fault(trouble, at);
            return;
        }
        if !template.is_named() {
            self.numbers(nodes, declared);
            return;
        }
        for (place, name) in declared.iter().enumerate() {
            if template.position(name).is_none() {
                let found = "another name";
                let trouble = Trouble::new(Code::TemplatePlaceholders, expected.clone(), found)
                    .hint(unknown_hint(name, names));
                self.notes.fault(trouble, nodes[place].at);
            }
        }
    }

    /// A number among the file's own names can only be that of its own place, or nobody could tell
    /// which placeholder it means.
    fn numbers(&mut self, nodes: &[Node<'_>], declared: &[String]) {
        for (place, (name, node)) in declared.iter().zip(nodes).enumerate() {
            let number = place + 1;
            let digits = name.bytes().all(|byte| byte.is_ascii_digit());
            if digits && *name != number.to_string() {
                let expected = format!("a name, or `{number}`: it stands for {{{{{number}}}}}");
                let trouble = Trouble::new(Code::TemplatePlaceholders, expected, "another number");
                let hint = "the list follows the numbers of the template";
                self.notes.fault(trouble.hint(hint), node.at);
            }
        }
    }

    /// Values for templates that the rows name.
    fn values(&mut self, entries: &[Entry<'_>]) {
        for Entry { node, .. } in entries {
            // Templates take amounts and dates, too.
            if node.text().is_none() && !matches!(node.value, Value::Object(_)) {
                let trouble = Trouble::new(Code::ParameterWrongKind, "a text", node.kind())
                    .hint("put the value in quotation marks");
                self.notes.fault(trouble, node.at);
            }
        }
    }
}
