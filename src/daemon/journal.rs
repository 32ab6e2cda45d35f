//! Every line an operator searches for, one function each. Ids, and names of files where one must
//! be found: never a number, a text, a secret, or a request or its answer.

use std::net::SocketAddr;

use tracing::{debug, error, info, warn};

use crate::batch::{Arrival, BatchId, Fault, Moment, TenantName};
use crate::delivery::Reason;
use crate::delivery::standing::BatchStanding;
use crate::delivery::steering::{Pause, Subject};

/// The SFTP door is open.
pub fn listening(sftp: SocketAddr) {
    info!(%sftp, "sftp door listening on {sftp}");
}

/// Metrics and health are served.
pub fn admin_listening(admin: SocketAddr) {
    info!(%admin, "metrics and health listening on {admin}");
}

/// The system did not allow more open files.
pub fn few_open_files(why: &str) {
    warn!("the number of files that may be open stays as it was: {why}");
}

/// Something about the settings that the operator should know and that stops nothing.
pub fn noted(note: &str) {
    warn!("{note}");
}

/// The file of a tenant's secret was changed.
pub fn secret_replaced(tenant: &TenantName) {
    info!(tenant.name = %tenant, "what lets in the requests of tenant {tenant} was read again from its file");
}

/// The file of a tenant's secret cannot be used any more.
pub fn secret_unusable(tenant: &TenantName, why: &str) {
    warn!(tenant.name = %tenant, "what lets in the requests of tenant {tenant} stays as it was, though its file {why}");
}

/// The provider gave a tenant another token.
pub fn token_renewed(tenant: &TenantName, seconds: u64) {
    info!(tenant.name = %tenant, seconds, "tenant {tenant} has another token for {seconds} s");
}

/// The provider gave a tenant no token; it is asked again.
pub fn token_refused(tenant: &TenantName, reason: &Reason) {
    let code = &reason.code;
    warn!(tenant.name = %tenant, reason = %code, "tenant {tenant} gets no token and asks again: {}", reason.title);
}

/// A tenant's templates were read from its provider, and differ from those before.
pub fn templates_pulled(tenant: &TenantName, count: usize) {
    info!(tenant.name = %tenant, count, "tenant {tenant} has {count} templates at its provider");
}

/// A tenant's templates could not be read from its provider; those that were known stay.
pub fn templates_not_pulled(tenant: &TenantName, reason: &Reason) {
    let code = &reason.code;
    warn!(tenant.name = %tenant, reason = %code, "the templates of tenant {tenant} stay as they were, because they could not be read: {}", reason.title);
}

/// What was read from a tenant's provider could not be written down.
pub fn templates_not_kept(tenant: &TenantName, why: &std::io::Error) {
    warn!(tenant.name = %tenant, "the templates of tenant {tenant} stay as they were, because they could not be written down: {why}");
}

/// A template definition cannot be used.
pub fn template_unusable(tenant: &TenantName, file: &str, why: &str) {
    warn!(tenant.name = %tenant, "template definition {file} of tenant {tenant} cannot be used: {why}");
}

/// A tenant does not see its templates as they are; it is tried again.
pub fn templates_not_shown(tenant: &TenantName, why: &str) {
    warn!(tenant.name = %tenant, "tenant {tenant} cannot be shown its templates: {why}");
}

/// The hang-up signal was received.
pub fn settings_stay() {
    warn!("the settings stay as they are: they are read at a start only; restart to change them");
}

/// Names that a crash had left unfinished were finished.
pub fn repaired(names: usize) {
    info!(
        names,
        "{names} uploads got the name that a stop had kept from them"
    );
}

/// Messages whose answer the last run did not live to see.
pub fn recovered(messages: u64) {
    warn!(
        messages,
        "{messages} messages were in flight when the last run stopped without their answer"
    );
}

/// A file has its row.
pub fn received(arrival: &Arrival) {
    let (batch, tenant, bytes) = (&arrival.batch, &arrival.tenant, arrival.size_bytes);
    info!(batch.id = %batch, tenant.name = %tenant, bytes, "batch {batch} of tenant {tenant} received with {bytes} bytes");
}

/// A file that did not come through the door is in the spool.
pub fn brought_in(batch: &BatchId, tenant: &TenantName) {
    info!(batch.id = %batch, tenant.name = %tenant, "batch {batch} of tenant {tenant} taken from its drop folder");
}

/// Local files of a tenant wait, because the disk does not take them.
pub fn local_files_wait(tenant: &TenantName, why: &str) {
    error!(tenant.name = %tenant, "files in the drop folders of tenant {tenant} wait and will be tried again: {why}");
}

/// They do not wait any more.
pub fn local_files_taken_again(tenant: &TenantName) {
    info!(tenant.name = %tenant, "files in the drop folders of tenant {tenant} are taken again");
}

/// A tenant's drop folders could not be looked at.
pub fn sweep_failed(tenant: &TenantName, why: &str) {
    error!(tenant.name = %tenant, "the drop folders of tenant {tenant} could not be looked at and will be tried again: {why}");
}

/// Files whose names are too long, or no text, cannot be answered and stay where they are.
pub fn names_unusable(tenant: &TenantName, files: usize) {
    warn!(tenant.name = %tenant, files, "{files} files in the drop folders of tenant {tenant} have a name that cannot be used: longer than 200 bytes, not UTF-8, or with control characters");
}

/// More files lie in drop folders than are watched; those that count come first.
pub fn files_left_out(tenant: &TenantName, files: usize) {
    warn!(tenant.name = %tenant, files, "{files} files in the drop folders of tenant {tenant} wait until others are gone: too many lie there");
}

/// Nobody went on with an upload.
pub fn partial_removed(tenant: &TenantName) {
    info!(tenant.name = %tenant, "an unfinished upload of tenant {tenant} was removed: nobody went on with it");
}

/// The system does not tell of files that are closed.
pub fn not_watched(why: &str) {
    warn!("local files are found a little later, because drop folders cannot be watched: {why}");
}

/// The `.done` of a file has come.
pub fn done_came(batch: &BatchId, tenant: &TenantName) {
    info!(batch.id = %batch, tenant.name = %tenant, "batch {batch} of tenant {tenant} may begin: its .done has come");
}

/// A checksum that came after the check says that the file is not what was meant.
pub fn checksum_late(batch: &BatchId, tenant: &TenantName, fault: &Fault) {
    let code = fault.code;
    warn!(batch.id = %batch, tenant.name = %tenant, fault.code = %code, "the checksum that came late for batch {batch} of tenant {tenant} does not fit: {code}");
}

/// A batch will be sent, or was checked as a dry run.
pub fn admitted(batch: &BatchId, tenant: &TenantName, total: u64, invalid: u64) {
    info!(batch.id = %batch, tenant.name = %tenant, messages = total, invalid, "batch {batch} admitted with {total} messages, {invalid} of them invalid");
}

/// A file was refused.
pub fn refused(batch: &BatchId, tenant: &TenantName, reason: &Fault) {
    let code = reason.code;
    info!(batch.id = %batch, tenant.name = %tenant, fault.code = %code, "batch {batch} of tenant {tenant} refused: {code}");
}

/// A file that was not read to its end is read again at the next look.
pub fn check_failed(batch: &BatchId, why: &str) {
    error!(batch.id = %batch, "batch {batch} could not be read: {why}");
}

/// A batch waits because its tenant is not configured.
pub fn tenant_missing(tenant: &TenantName) {
    warn!(tenant.name = %tenant, "tenant {tenant} has open batches and no settings file: they hold until it is back");
}

/// Messages wait because their sender is not configured.
pub fn sender_missing(batch: &BatchId) {
    warn!(batch.id = %batch, "batch {batch} holds: its sender is no longer among the tenant's senders");
}

/// A batch cannot be read from the store; it is tried again.
pub fn batch_stuck(batch: &BatchId, why: &str) {
    error!(batch.id = %batch, "batch {batch} cannot be carried on and will be tried again: {why}");
}

/// A tenant's messages wait because the provider asked for it or cannot be used.
pub fn held(tenant: &TenantName, scope: &str, reason: &Reason, seconds: u64) {
    let code = &reason.code;
    warn!(tenant.name = %tenant, scope, reason = %code, seconds, "tenant {tenant}: {scope} holds for {seconds} s: {}", reason.title);
}

/// What held does so no more.
pub fn released(scope: &str) {
    info!(scope, "{scope} holds no more: messages go again");
}

/// A sender goes slower because its provider asked for it. `scope` names it without its number.
pub fn throttled(tenant: &TenantName, scope: &str, (rate, seconds): (f64, u64), reason: &Reason) {
    let code = &reason.code;
    warn!(tenant.name = %tenant, scope, rate, seconds, reason = %code, "tenant {tenant}: {scope} rests for {seconds} s and goes on with {rate:.1} messages a second: {}", reason.title);
}

/// Messages cannot be read back from the store.
pub fn chunk_damaged(batch: &BatchId) {
    error!(batch.id = %batch, "messages of batch {batch} cannot be read back from the store; at the third try they are set aside as failed, and the rest goes on");
}

/// Whether somebody reads of each attempt.
pub fn tells_attempts() -> bool {
    tracing::enabled!(tracing::Level::DEBUG)
}

/// One attempt has its outcome.
pub fn attempted(attempt: &crate::delivery::AttemptId, outcome: &str) {
    debug!(attempt.id = %attempt, outcome, "attempt {attempt}: {outcome}");
}

/// A message whose answer never came is settled.
pub fn settled(attempt: &crate::delivery::AttemptId, state: &str, by: &str) {
    debug!(attempt.id = %attempt, state, by, "attempt {attempt} is {state}, by {by}");
}

/// Nothing has said in time what became of these.
pub fn released_unknown(messages: u64) {
    warn!(
        messages,
        "{messages} messages stay unknown: nothing has said in time what became of them"
    );
}

/// Callbacks of providers are taken.
pub fn receipts_listening(receipts: SocketAddr) {
    info!(%receipts, "receipts listening on {receipts}");
}

/// Nothing of a batch is left to send.
pub fn finished(batch: &BatchId) {
    info!(batch.id = %batch, "batch {batch} finished: nothing is left to send");
}

/// Somebody has paused something.
pub fn paused(pause: &Pause) {
    let (scope, by) = (pause.subject.scope(), pause.by.as_str());
    let until = pause.until.map(|until| until.to_string());
    let until = until.as_deref().unwrap_or("it is resumed");
    info!(
        scope,
        by,
        until,
        "{} is paused by the {by} until {until}",
        named(&pause.subject)
    );
}

/// A pause has ended.
pub fn resumed(subject: &Subject, by: &str) {
    let scope = subject.scope();
    info!(
        scope,
        by,
        "{} goes on: its pause was ended by {by}",
        named(subject)
    );
}

/// A command of the operator's could not be carried out.
pub fn command_failed(why: &str) {
    error!("a command could not be carried out: {why}");
}

/// A batch was cancelled.
pub fn cancelled(batch: &BatchId, left: u64, in_flight: u64) {
    info!(batch.id = %batch, left, in_flight, "batch {batch} cancelled: {left} messages are not sent, {in_flight} were in flight");
}

/// What waited for another try is tried at once.
pub fn retried(subject: &Subject, messages: u64) {
    let scope = subject.scope();
    info!(
        scope,
        messages,
        "{}: {messages} messages that waited are tried again",
        named(subject)
    );
}

/// A sender has another rate than its settings say, or again the one that they say.
pub fn limited(tenant: &TenantName, per_second: Option<f64>) {
    match per_second {
        Some(rate) => {
            info!(tenant.name = %tenant, rate, "a sender of tenant {tenant} is limited to {rate} messages a second");
        }
        None => {
            info!(tenant.name = %tenant, "a sender of tenant {tenant} is no longer limited");
        }
    }
}

/// A subject as it may stand here: without a number.
fn named(subject: &Subject) -> String {
    match subject {
        Subject::Sender { tenant, .. } => format!("a sender of tenant {tenant}"),
        other => other.to_string(),
    }
}

/// All reports of a batch are in place.
pub fn ended(standing: &BatchStanding) {
    let (batch, counts) = (&standing.arrival.batch, standing.counts);
    info!(
        batch.id = %batch,
        accepted = counts.accepted,
        failed = counts.failed,
        unknown = counts.unknown,
        invalid = counts.invalid,
        expired = counts.expired,
        cancelled = counts.cancelled,
        "batch {batch} ended {}: its reports are in place", standing.state.as_str()
    );
}

/// A report could not be written; it is tried again.
pub fn report_failed(batch: &BatchId, why: &str) {
    error!(batch.id = %batch, "reports of batch {batch} could not be written and will be tried again: {why}");
}

/// What was old has gone.
pub fn purged(tenant: &TenantName, kind: &'static str, count: u64) {
    let what = match kind {
        "content" => "the content of old batches",
        "history" => "the history of old batches",
        "processed" => "old files in processed",
        "media" => "uploaded files that no batch needs any more",
        _ => "old files in results and errors",
    };
    info!(tenant.name = %tenant, kind, count, "tenant {tenant}: {what} has gone by age: {count}");
}

/// Something old could not be removed; it is tried again.
pub fn purge_failed(tenant: &TenantName, why: &str) {
    error!(tenant.name = %tenant, "something old of tenant {tenant} could not be removed and will be tried again: {why}");
}

/// The wall clock has gone ahead further than it can be believed.
pub fn clock_doubted(believed_at: Moment, now: Moment) {
    warn!(
        "the wall clock says {now} and was last believed at {believed_at}: in case it is wrong, nothing is deleted by age until it has been so for a day"
    );
}

/// The wall clock is believed again.
pub fn clock_believed() {
    info!("the wall clock is believed again: what is old is deleted");
}

/// The spool could not be looked at; it is tried again.
pub fn intake_failed(why: &str) {
    error!("the spool could not be read and will be tried again: {why}");
}

/// Stopping has begun.
pub fn stopping() {
    info!("stopping: no more files are taken and no more messages are begun");
}

/// Stopping is done.
pub fn stopped(in_flight: usize) {
    info!(in_flight, "stopped with {in_flight} messages in flight");
}
