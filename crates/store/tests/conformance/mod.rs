//! What any back end of the store must do, as one body that each runs unchanged.
//!
//! Each scenario gets a store of its own and a [`World`] to speak to it through; after each, the audit must find
//! nothing. Time is the world's: no scenario waits for a clock.

mod crowd;
mod ledger;
mod life;
mod lists;
mod nodes;
mod notes;
mod people;
mod previews;
mod queue;
mod random;
mod watching;
mod webhooks;
mod workers;
pub(crate) mod world;

use std::{pin::Pin, sync::Arc};

use kinora_store::Store;

use world::{START, World};

type Scenario = fn(Arc<World>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

macro_rules! scenarios {
    ($($module:ident::$name:ident),* $(,)?) => {
        &[$((concat!(stringify!($module), "::", stringify!($name)), |world| Box::pin($module::$name(world)))),*]
    };
}

const SCENARIOS: &[(&str, Scenario)] = scenarios![
    people::accounts_are_found_by_name_and_id,
    people::keys_are_found_by_hash_until_revoked,
    people::a_secret_is_made_once,
    ledger::a_hold_takes_the_subscription_first,
    ledger::a_refused_submission_writes_nothing,
    ledger::a_price_of_nothing_is_held_and_settled,
    ledger::ended_grants_are_not_spent,
    ledger::a_release_to_an_ended_grant_is_lost,
    ledger::a_capture_is_at_most_the_hold,
    ledger::a_grant_is_given_once,
    ledger::grants_of_the_wrong_kind_are_refused,
    ledger::entries_are_listed_newest_first,
    life::every_spec_reads_back,
    life::a_success_is_told_from_end_to_end,
    life::an_idempotency_key_answers_for_itself,
    life::a_retry_waits_and_goes_on,
    life::a_generation_given_back_loses_no_attempt,
    life::progress_never_goes_back,
    life::a_lost_lease_writes_nothing,
    life::cancel_ends_what_waits_and_stops_what_runs,
    life::a_canceled_run_ends_canceled_whatever_its_worker_says,
    life::media_are_kept_until_removed,
    life::expired_leases_go_back_until_attempts_are_spent,
    life::passed_deadlines_fail,
    notes::a_note_is_found_by_the_next_attempt,
    notes::a_note_needs_the_lease,
    notes::what_is_passed_on_waits_for_the_other_offer,
    previews::the_latest_picture_is_seen_until_the_end,
    previews::a_picture_needs_the_lease,
    queue::first_come_first_served_by_priority,
    queue::workers_get_only_their_offers,
    queue::a_thousand_do_not_starve_one,
    queue::accounts_take_turns_over_all_offers,
    queue::a_newcomer_waits_one_round_at_most,
    queue::running_caps_are_kept,
    queue::the_depth_is_what_waits_and_runs,
    lists::pages_of_generations_join_up,
    lists::status_events_are_replayed,
    watching::watchers_hear_of_their_generation_alone,
    watching::the_bell_rings_for_work,
    crowd::many_clients_never_overdraw_one_balance,
    crowd::many_workers_never_share_a_generation,
    crowd::one_idempotency_key_makes_one_generation,
    webhooks::endpoints_are_kept_changed_and_removed,
    webhooks::every_phase_is_told_once_and_in_order,
    webhooks::endpoints_hear_what_they_asked_for,
    webhooks::a_failed_try_is_made_again,
    webhooks::a_lost_lease_says_nothing,
    webhooks::an_endpoint_that_is_gone_is_told_no_more,
    webhooks::a_disabled_endpoint_is_told_later,
    webhooks::an_endpoint_that_asks_for_less_is_left_alone,
    webhooks::a_silent_endpoint_holds_up_nobody,
    webhooks::tests_and_replays,
    webhooks::old_deliveries_are_forgotten,
    life::the_longest_values_are_kept,
    workers::workers_come_and_go,
    workers::workers_are_told_to_drain,
    workers::the_silent_are_forgotten,
    workers::figures_follow_the_attempts,
    workers::an_offer_that_could_not_begin_is_remembered,
    workers::requests_are_counted_by_key_and_kind,
    workers::nodes_count_together,
];

/// Runs everything against stores that `make` opens, each empty.
pub(crate) async fn conformance(make: impl Fn() -> Arc<dyn Store>) {
    for (name, scenario) in SCENARIOS {
        println!("{name}");
        let world = Arc::new(World::new(make()));
        scenario(Arc::clone(&world)).await;
        world.assert_sound(name).await;
    }
}

/// Runs what takes two processes, each time on the two stores of an empty database that `make` opens.
pub(crate) async fn two_processes(make: impl Fn() -> [Arc<dyn Store>; 2]) {
    for (name, scenario) in nodes::SCENARIOS {
        println!("{name}");
        let [here, there] = make();
        // Two processes draw different ids, and their clocks differ.
        let (here, there) = (World::at(here, START), World::at(there, START.plus_ms(1)));
        let worlds = [here, there].map(Arc::new);
        scenario(worlds.clone()).await;
        worlds[1].assert_sound(name).await;
    }
}

pub(crate) use nodes::many_starts;
pub(crate) use random::random_interleavings;
