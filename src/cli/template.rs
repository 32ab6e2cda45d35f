//! `dropcast template list`, `schema` and `example`: what the tenant's folder shows, without a
//! service; `pause`, `resume` and `retry`, of one that runs. What is asked of the provider stands
//! in `managing`.

use std::io;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde::Serialize;

mod managing;

use super::against::Against;
use super::steering::{Deed, Manner, PauseOptions, steer, tenant};
use super::{EXIT_DONE, EXIT_NO, complain, say};
use crate::batch::TenantName;
use crate::batch::template::{Template, Templates};
use crate::daemon::desk::Named;

#[derive(Clone, Debug, Subcommand)]
pub(super) enum Asked {
    /// Lists the templates, and says why one cannot be used.
    List {
        #[command(flatten)]
        against: Against,
        /// Writes JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Writes the JSON Schema of the values that a row fills a template with.
    Schema(One),
    /// Writes a batch file with one row that uses a template.
    Example(One),
    /// Reads the templates of a tenant from its provider, and puts them beside its own definitions.
    ///
    /// It needs no service; a running one uses them at once. Run it as the user of the service.
    Pull(managing::Account),
    /// Hands a template in at the provider, and tells what that says.
    Create(managing::Create),
    /// Changes a template at the provider, which looks at it anew, and tells what that says.
    Edit(managing::Edit),
    /// Removes a template at the provider.
    Delete(managing::Delete),
    /// Begins no more messages with a template, until it is resumed.
    Pause {
        #[command(flatten)]
        one: Steered,
        #[command(flatten)]
        how: PauseOptions,
    },
    /// Ends the pause of a template; one that is held is tried again at once.
    Resume(Steered),
    /// Tries at once what waits for another try, and forgets that the template holds.
    Retry(Steered),
}

/// One template of a running service.
#[derive(Clone, Debug, Args)]
pub(super) struct Steered {
    /// Its name.
    #[arg(value_name = "NAME")]
    name: String,
    /// In this language only.
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,
    /// Whose it is; needed where there are several tenants.
    #[arg(long, value_name = "NAME", value_parser = tenant)]
    tenant: Option<TenantName>,
    #[command(flatten)]
    manner: Manner,
}

/// One template.
#[derive(Clone, Debug, Args)]
pub(super) struct One {
    /// Its name.
    #[arg(value_name = "NAME")]
    name: String,
    /// Its language; needed where it has several.
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,
    #[command(flatten)]
    against: Against,
}

/// A template as it is listed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    name: &'a str,
    language: &'a str,
    status: &'a str,
    usable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Does what was asked.
pub(super) fn run(asked: Asked) -> io::Result<u8> {
    match asked {
        Asked::List { against, json } => match against.templates() {
            Ok((templates, _)) => list(&templates, json),
            Err(code) => Ok(code),
        },
        Asked::Schema(one) => show(&one, |template, _| template.schema()),
        Asked::Example(one) => show(&one, Template::example_batch),
        Asked::Pull(account) => managing::pull(&account),
        Asked::Create(create) => managing::create(&create),
        Asked::Edit(edit) => managing::edit(edit),
        Asked::Delete(delete) => managing::delete(delete),
        Asked::Pause { one, how } => steer_one(one, Deed::Pause(how)),
        Asked::Resume(one) => steer_one(one, Deed::Resume),
        Asked::Retry(one) => steer_one(one, Deed::Retry),
    }
}

fn steer_one(one: Steered, deed: Deed) -> io::Result<u8> {
    let subject = Named::Template {
        tenant: one.tenant,
        name: one.name,
        language: one.language,
    };
    steer(&one.manner, subject, deed)
}

fn list(templates: &Templates, json: bool) -> io::Result<u8> {
    let lines: Vec<Line<'_>> = templates.all().into_iter().map(|one| line(one)).collect();
    if json {
        say(&serde_json::to_string_pretty(&lines)?)?;
        return Ok(EXIT_DONE);
    }
    let widest = |text: fn(&Line<'_>) -> usize| lines.iter().map(text).max().unwrap_or_default();
    let name_width = widest(|line| line.name.chars().count());
    let language_width = widest(|line| line.language.chars().count());
    let status_width = widest(|line| line.status.chars().count());
    for line in &lines {
        let Line {
            name,
            language,
            status,
            reason,
            ..
        } = line;
        let use_of_it = match reason {
            None => "usable".to_owned(),
            Some(reason) => format!("not usable: {reason}"),
        };
        say(&format_args!(
            "{name:<name_width$}  {language:<language_width$}  {status:<status_width$}  {use_of_it}"
        ))?;
    }
    Ok(EXIT_DONE)
}

fn line(template: &Arc<Template>) -> Line<'_> {
    Line {
        name: template.name(),
        language: template.language(),
        status: template.status(),
        usable: template.is_usable(),
        reason: template.obstacle(),
    }
}

/// Shows one template, if it can be used.
fn show(
    one: &One,
    shown: fn(&Template, &crate::batch::Phone) -> serde_json::Value,
) -> io::Result<u8> {
    let (templates, from) = match one.against.templates() {
        Ok(found) => found,
        Err(code) => return Ok(code),
    };
    match find(&templates, one) {
        Ok(template) => {
            say(&format_args!("{:#}", shown(template, &from)))?;
            Ok(EXIT_DONE)
        }
        Err(sentence) => {
            complain(&sentence);
            Ok(EXIT_NO)
        }
    }
}

fn find<'a>(templates: &'a Templates, one: &One) -> Result<&'a Template, String> {
    let name = &one.name;
    let mut named = templates.all();
    named.retain(|template| template.name() == name);
    if named.is_empty() {
        return Err(format!("there is no template `{name}`"));
    }
    let languages: Vec<&str> = named.iter().map(|template| template.language()).collect();
    let languages = languages.join(", ");
    let wanted = |template: &&Arc<Template>| match &one.language {
        Some(language) => template.language() == language,
        None => true,
    };
    let mut fitting = named.into_iter().filter(wanted);
    let template = match (fitting.next(), fitting.next()) {
        (Some(template), None) => template,
        (None, _) => return Err(format!("`{name}` has other languages: {languages}")),
        _ => return Err(format!("say which language of `{name}`: {languages}")),
    };
    match template.obstacle() {
        None => Ok(template),
        Some(reason) => Err(format!("`{name}` cannot be used: {reason}")),
    }
}
