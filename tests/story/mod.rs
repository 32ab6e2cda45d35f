//! The promises, one file each. Every story drives the built binary: a real SFTP client in, a
//! scripted provider out, a temporary folder of its own.

mod a_bulk_request_is_many_messages;
mod a_clean_stop_loses_nothing;
#[cfg(feature = "fail-points")]
mod a_death_at_any_step_loses_nothing;
mod a_full_disk_is_waited_out;
mod a_mended_token_is_used_at_once;
mod a_message_waits_for_its_time;
mod a_start_says_what_is_wrong;
mod any_dialect_goes_through_any_provider;
mod broadcasts_say_what_became_of_each;
mod companions_belong_to_their_file;
mod errors_that_come_as_successes_are_told;
mod every_fault_is_told;
mod every_message_is_in_the_results_once;
mod files_are_uploaded_once;
mod killed_at_any_moment;
mod local_writers_are_heard;
mod messages_leave_through_bird;
mod one_bad_message_sinks_no_other;
mod only_whole_files_are_sent;
mod provider_answers_are_told_as_they_are;
#[cfg(feature = "fail-points")]
mod refused_files_are_answered;
mod rows_that_repeat_others_are_left_out;
mod templates_come_from_the_provider;
mod tenants_are_apart;
mod the_examples_of_providers_are_taken;
mod the_operator_steers;
mod the_same_content_is_refused;
mod the_same_faults_whichever_way_a_file_comes;
mod the_tenant_steers_by_file;
mod what_is_old_goes;
mod what_may_have_gone_out_is_settled;
mod what_was_found_not_to_work_is_not_tried_anew;
