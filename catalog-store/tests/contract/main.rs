//! One suite of promises, kept by the catalogue on SQLite and on PostgreSQL alike.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test; the cases are plain functions")]

mod about;
mod accounts;
mod ahead;
mod audit;
mod availability;
mod avatars;
mod collections;
mod concurrency;
mod demands;
mod documents;
mod events;
mod finds;
mod grants;
mod harness;
mod idempotency;
mod identities;
mod jobs;
mod jobs_listed;
mod ledger;
mod lookup;
mod pages;
mod parts;
mod people;
mod purges;
mod renumber;
mod reprocess;
mod search;
mod secrets;
mod sessions;
mod settling;
mod shares;
mod texts;
mod upgrades;
mod uploads;
mod versions;
mod webhooks;

/// Makes two tests of each case: one per engine.
macro_rules! contract {
    ($($module:ident: $($case:ident)+;)+) => {
        mod sqlite {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $case() {
                crate::harness::on_sqlite(crate::$module::$case).await;
            })+)+
        }
        mod postgres {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $case() {
                crate::harness::on_postgres(crate::$module::$case).await;
            })+)+
        }
    };
}

contract! {
    people:
        an_event_is_told_once_and_what_is_read_is_known
        what_somebody_wants_otherwise_is_kept
        a_letter_of_the_week_is_taken_once
        what_concerns_an_account_or_is_shared_is_told_to_that_person_alone
        of_somebody_who_was_erased_nothing_is_left_in_any_table
        nothing_becomes_that_of_somebody_who_is_gone
        what_is_under_way_while_somebody_is_erased_is_not_left_behind
        of_somebody_who_takes_everything_along_no_name_is_left
        whoever_an_administrator_deletes_is_gone_from_every_table_too;
    documents:
        a_document_comes_as_an_upload_and_is_shown_once_it_is_whole
        a_document_that_comes_to_nothing_leaves_its_asset_alone
        documents_are_named_and_put_in_order
        a_document_is_taken_back_with_what_brings_it
        documents_go_with_their_asset
        a_document_may_come_before_anything_plays;
    idempotency:
        a_name_is_answered_as_the_first_time_and_good_for_one_thing
        what_was_killed_before_anything_was_done_is_done_by_whoever_asks_again
        what_was_killed_after_it_was_done_is_not_done_again
        a_name_under_which_nothing_was_done_is_free_again
        parallel_asks_under_one_name_do_it_once
        so_many_names_of_somebody_are_remembered;
    identities:
        an_identity_belongs_to_one_account
        an_account_and_its_identity_are_born_together
        the_last_way_in_stays;
    secrets:
        no_secret_stands_in_any_table
        secrets_of_an_older_version_are_sealed_at_the_start
        a_key_is_changed_without_losing_a_secret
        a_secret_opens_in_its_own_row_only
        where_the_key_is_lost_secrets_are_given_up_and_the_rest_goes_on;
    webhooks:
        a_webhook_is_changed_at_the_version_that_was_read
        somebody_has_so_many_webhooks
        an_event_becomes_one_message_by_whoever_has_the_right
        a_message_has_one_sender_until_its_lease_runs_out
        parallel_senders_share_messages_out_among_them
        what_is_not_taken_is_due_again_and_a_webhook_that_rests_is_left_alone
        messages_are_sent_again_one_by_one_and_by_time
        a_webhook_for_which_too_much_waits_is_disabled
        what_waits_and_since_when_is_known;
    uploads:
        an_upload_and_its_asset_are_born_together
        an_offset_never_runs_backwards_and_never_past_the_length
        the_last_byte_makes_the_asset_received_and_enqueues_its_probe_once
        an_upload_of_another_length_is_not_complete
        a_terminated_upload_takes_no_bytes_and_deletes_its_asset
        a_deleted_asset_ends_its_upload
        several_uploads_advance_together_and_a_refused_one_disturbs_no_other
        a_length_is_announced_once
        a_part_has_no_asset_and_can_be_given_up_when_it_is_complete
        a_refused_upload_fails_its_asset_with_the_reason
        what_uploads_reserve_is_known
        parts_count_as_the_whole_that_took_them
        what_is_full_stays_full_and_does_not_expire
        without_a_length_an_upload_is_full_where_it_stands
        a_creation_with_a_known_repeat_key_happens_once
        open_finals_are_known_and_their_parts_expire_when_taken
        a_final_that_waits_is_refused_with_the_part_that_is_given_up;
    grants:
        a_grant_reads_back_until_it_is_forgotten
        a_grant_is_used_as_often_as_allowed_and_parts_do_not_count
        parts_are_unpaid_until_a_use_is_spent_on_them
        a_grant_that_ended_or_was_taken_back_is_of_no_use
        grants_of_one_are_listed_behind_each_other
        parallel_uses_of_one_grant_succeed_once
        what_is_noted_of_an_import_is_the_latest_and_goes_with_its_upload;
    accounts:
        an_address_has_one_account_however_it_is_written
        parallel_registrations_of_one_address_make_one_account
        a_change_is_for_the_version_that_was_read
        somebody_can_always_decide_about_accounts
        a_suspended_account_loses_its_sessions_and_a_deleted_one_its_data
        pages_of_accounts_are_newest_first_and_without_gaps
        the_first_administrator_is_set_up_once
        a_second_factor_is_in_force_once_it_is_confirmed_and_its_codes_are_good_once
        a_link_is_good_once_for_its_purpose_and_until_its_end;
    lookup:
        accounts_are_found_by_what_their_names_and_addresses_begin_with
        rows_of_the_audit_log_are_found_by_all_that_stands_in_them;
    avatars:
        a_picture_is_shown_once_it_is_taken_and_removed_from_the_store_when_it_is_not
        of_whoever_is_erased_or_deleted_the_picture_is_to_be_removed
        a_picture_that_nobody_announced_is_not_taken;
    about:
        what_is_said_reads_back_and_replaces_what_was_read
        the_title_is_the_files_until_somebody_says_another
        an_id_elsewhere_belongs_to_one_asset
        a_page_is_the_same_whichever_way_it_is_found
        what_has_no_title_is_sorted_by_the_name_of_its_file
        assets_are_listed_by_what_is_said;
    search:
        words_phrases_beginnings_and_exclusions_find_the_same_everywhere
        what_is_changed_step_by_step_is_found_as_if_it_was_said_at_once
        words_that_nothing_says_any_more_are_forgotten
        slips_of_the_hand_are_forgiven_when_asked_to
        pages_of_hits_follow_each_other_without_gaps
        somebody_finds_and_counts_what_they_may_see
        what_is_said_is_found_with_the_second_at_which_it_is
        subtitles_of_before_are_asked_for_once;
    pages:
        pages_of_accounts_go_both_ways
        pages_of_the_audit_log_go_both_ways
        pages_of_grants_go_both_ways
        pages_of_messages_go_both_ways
        pages_of_notifications_go_both_ways
        pages_of_what_is_set_apart_go_both_ways
        pages_of_channels_and_of_what_is_in_them_go_both_ways
        pages_of_collections_and_of_what_is_in_them_go_both_ways
        what_comes_and_goes_meanwhile_moves_no_other_item
        pages_of_hits_and_passages_go_both_ways;
    finds:
        what_was_searched_for_is_found_as_it_stands
        what_is_written_while_somebody_searches_is_missed_by_no_later_search
        a_server_that_got_ready_finds_what_others_find;
    availability:
        what_is_in_the_bin_is_neither_shown_nor_found_and_comes_out_as_it_was
        the_bin_is_emptied_when_its_time_is_over
        the_clock_decides_what_is_shown
        what_is_not_published_is_shown_to_its_owner_and_editors_only
        caches_are_told_once_that_a_time_has_come_or_is_over
        a_time_that_came_and_was_over_between_two_looks_is_told_as_both;
    parts:
        a_part_is_changed_where_it_is_what_was_looked_at
        what_nobody_set_is_set_once
        of_many_who_looked_at_the_same_one_changes_it
        a_part_is_at_another_version_when_what_is_told_of_it_differs;
    collections:
        items_stand_in_order_and_can_be_moved
        a_series_has_seasons_and_a_playlist_has_not
        a_collection_is_seen_by_its_owner_and_whom_it_is_shared_with
        what_is_in_a_collection_is_seen_as_far_as_it_may_be
        an_asset_is_in_one_channel_and_seen_there_by_everybody
        whoever_follows_channels_gets_the_newest_of_them
        what_is_deleted_while_it_is_referred_to_is_told_as_gone;
    sessions:
        a_session_is_found_by_what_proves_it_until_it_ends
        a_session_begins_only_by_what_is_in_force_when_it_does
        a_session_begins_by_an_identity_as_long_as_that_is_linked
        a_password_that_was_set_meanwhile_is_not_hashed_anew
        a_password_is_changed_by_who_knew_the_one_in_force
        whoever_begins_a_session_waits_for_who_sets_the_password
        all_sessions_but_one_can_be_ended_and_so_many_live_at_once
        a_refresh_token_is_spent_for_its_successor
        a_refresh_token_that_is_used_again_later_ends_its_session
        parallel_uses_of_one_refresh_token_agree_on_the_successor
        an_api_key_is_good_until_it_ends_or_is_taken_back
        one_of_several_processes_adds_a_signing_key;
    audit:
        what_is_done_is_logged_in_order_and_sealed
        a_change_that_fails_leaves_no_row
        what_is_done_to_videos_channels_and_collections_is_logged_with_it
        a_video_that_is_left_as_it_is_leaves_no_row
        tampering_is_found_wherever_it_is;
    shares:
        an_asset_belongs_to_who_uploaded_it_and_can_be_shared
        somebody_sees_what_is_theirs_or_shared_with_them
        of_work_on_an_asset_those_hear_who_may_change_it
        a_deleted_account_is_shared_with_no_more;
    jobs:
        the_most_urgent_job_runs_first_and_heavy_work_is_separate
        the_next_job_is_the_one_that_a_claim_hands_out
        an_expired_lease_is_handed_out_again_with_a_new_fence
        a_heartbeat_keeps_a_lease_and_tells_when_it_is_lost
        a_lost_lease_is_never_completed
        a_retried_job_waits_for_its_time_and_counts_its_failures
        a_postponed_job_waits_for_its_time_and_counts_no_failure
        a_released_job_is_due_at_once_and_the_attempt_does_not_count
        a_job_whose_workers_vanish_is_given_up
        progress_forgives_crashes
        leases_of_an_ended_process_can_be_claimed_at_once
        the_next_due_instant_is_known;
    jobs_listed:
        a_job_tells_where_it_stands_and_since_when
        a_job_that_failed_says_why_and_so_do_those_that_went_with_it
        jobs_of_an_earlier_schema_say_what_is_known_of_them
        jobs_stay_until_the_last_object_of_their_asset_is_removed
        the_job_that_plans_another_output_is_known
        pages_of_jobs_go_both_ways;
    ahead:
        work_on_an_upload_waits_for_its_octets_in_lanes_of_its_own
        a_job_that_needs_more_than_it_thought_waits_for_that_or_for_the_end
        a_job_whose_workers_vanish_waits_for_the_whole_source
        a_plan_that_holds_goes_on_as_work_like_any_other
        what_is_made_before_the_plan_is_known_to_hold_is_not_published
        a_plan_that_does_not_hold_is_removed_with_all_that_was_made
        an_upload_that_comes_to_nothing_has_its_work_removed
        planning_that_is_late_ends_with_the_upload
        only_so_many_uploads_are_worked_on_at_a_time
        a_text_that_comes_during_the_upload_waits_for_its_end;
    demands:
        a_demanded_segment_comes_before_everything_and_its_chunk_before_other_chunks
        a_segment_is_demanded_once_however_often_it_is_asked_for
        what_is_there_or_about_to_come_is_not_demanded
        what_no_plan_has_cannot_be_demanded
        one_asset_cannot_demand_without_bound
        a_demand_whose_workers_vanish_takes_no_asset_with_it
        waiting_raises_a_job_above_newcomers;
    settling:
        an_asset_goes_all_the_way_to_ready
        a_settled_probe_settles_again_without_effect
        a_failure_cancels_the_siblings_and_is_told_to_the_uploader
        a_failed_job_of_a_ready_asset_changes_only_itself
        a_deletion_cancels_all_work_and_leaves_a_purge
        deleting_twice_changes_nothing
        a_purged_asset_leaves_only_its_id_until_it_is_forgotten
        an_illegal_step_leaves_nothing_behind
        an_asset_is_playable_once
        what_a_generation_lacks_is_known_and_the_last_part_publishes_it
        a_generation_that_is_planned_anew_takes_the_place_of_the_old_one;
    purges:
        a_new_target_is_told_of_what_comes_from_there_on
        one_process_tells_a_target_until_its_lease_runs_out
        what_went_wrong_is_known_until_it_goes_well
        what_is_published_and_who_may_play_it_is_told_in_events;
    renumber:
        what_is_numbered_after_a_restore_never_had_its_number_before
        what_was_made_beside_the_one_in_force_is_begun_anew_after_a_restore
        what_nobody_plays_yet_is_numbered_anew_but_not_published;
    reprocess:
        another_output_takes_the_place_of_the_one_in_force_in_one_step
        the_old_output_waits_for_its_players_and_then_goes_with_its_ledger
        an_output_that_fails_leaves_the_asset_ready_on_the_old_one
        a_planning_that_fails_leaves_the_asset_ready_too
        only_a_ready_asset_is_made_anew_and_one_output_at_a_time
        only_so_many_old_outputs_are_kept
        work_on_what_plays_already_comes_after_newcomers
        deleting_an_asset_ends_the_output_that_was_being_made
        viewers_of_the_old_output_demand_nothing_of_the_new_one
        a_text_that_comes_while_another_output_is_made_is_in_both
        an_output_that_is_planned_anew_stays_behind_the_one_in_force
        what_is_in_force_or_to_be_is_never_removed;
    versions:
        another_source_takes_the_place_of_the_one_in_force_which_is_kept
        another_source_that_nobody_looked_at_waits_for_a_review
        an_earlier_source_that_nobody_looked_at_waits_for_a_review
        an_earlier_source_is_gone_back_to_in_one_step
        a_source_that_comes_to_nothing_leaves_the_one_in_force
        an_upload_that_is_given_up_leaves_no_version
        one_source_is_on_its_way_at_a_time_and_only_to_a_ready_asset
        sources_beyond_those_that_are_kept_are_removed_with_what_they_took
        another_source_is_wanted_more_than_another_output_of_the_old_one
        a_deleted_asset_takes_its_sources_along;
    ledger:
        a_segment_is_recorded_once_and_another_hash_is_refused
        a_lost_lease_records_no_segment
        progress_counts_segments_per_rendition
        the_time_that_is_left_follows_from_the_last_commits
        images_and_subtitles_read_back
        loudness_reads_back_and_belongs_to_a_generation
        pictures_that_are_taken_last_wait_for_every_other_part
        the_tallies_of_all_chunks_add_up
        pages_of_assets_are_newest_first_and_without_gaps
        a_catalogue_opened_to_read_sees_what_is_committed_and_writes_nothing;
    texts:
        a_text_waits_for_the_first_publication_or_has_a_job_of_its_own
        several_wishes_wait_in_one_job
        what_became_of_a_text_reads_back
        a_removed_text_is_forgotten_once_its_objects_are_gone
        what_is_said_of_a_text_is_changed_at_the_version_that_was_read
        an_edit_takes_the_place_of_what_was_edited_once
        a_failed_or_deleted_asset_takes_no_text
        an_asset_has_only_so_many_texts
        chapters_are_set_replaced_and_given_back
        markers_are_set_replaced_and_removed
        the_youngest_choice_of_a_poster_counts_and_is_published
        a_given_up_job_makes_texts_unusable_and_fails_no_asset
        texts_neither_hold_up_nor_hasten_the_publication
        a_document_is_put_in_force_only_in_place_of_what_it_was_made_from
        a_lost_lease_publishes_nothing
        a_failed_asset_publishes_nothing;
    events:
        every_change_of_state_is_told_in_order
        progress_is_told_at_most_twice_a_second
        a_waiting_reader_is_woken_by_a_commit
        old_events_can_be_pruned;
    concurrency:
        parallel_claims_hand_out_each_job_once
        the_last_of_many_parallel_parts_publishes_exactly_once
        a_reader_never_sees_a_gap_between_events
        parallel_publishers_never_share_a_number_and_never_go_back
        a_call_dropped_anywhere_leaves_all_or_nothing
        deletion_and_settling_race_without_leftovers;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn work_that_another_process_adds_is_heard_of_on_postgres() {
    harness::on_postgres(demands::work_that_another_process_adds_is_heard_of).await;
}
