//! Surveys whose calls of the file system fail, by way of strace. They show on the program what the tests of `src/dataset/fault_tests` show
//! for every error. Surveys run in virtual time, but for one that captures packets, in the lab's namespace.

#![allow(
    clippy::disallowed_methods,
    clippy::too_many_lines,
    reason = "tests may read clocks and be tables"
)]

mod faults {
    pub mod errors;
    pub mod killed;
    pub mod locks;
    pub mod mounted;
    pub mod program;
    pub mod resumed;
}
mod support;

use std::process::ExitCode;

use faults::{errors, killed, locks, mounted, resumed};
use support::{Case, User};

fn main() -> ExitCode {
    let case = |name, user, run| Case { name, user, run };
    support::main(&[
        case(
            "without_locks_a_survey_goes_on_with_one_warning",
            User::Caller,
            locks::missing,
        ),
        case(
            "without_locks_dataset_and_packets_have_one_warning",
            User::Root,
            locks::missing_for_packets,
        ),
        case(
            "without_locks_two_surveys_exclude_each_other_until_one_is_killed",
            User::Caller,
            locks::two_runs,
        ),
        case(
            "without_locks_a_lock_file_of_another_container_is_respected",
            User::Root,
            locks::containers,
        ),
        case(
            "without_locks_a_lock_file_is_respected_if_proc_is_that_of_another_namespace",
            User::Root,
            locks::foreign_proc,
        ),
        case(
            "directories_that_cannot_be_synced_are_one_warning",
            User::Caller,
            locks::unsynced,
        ),
        case(
            "the_next_survey_marks_a_killed_one_and_lists_all_its_parts",
            User::Caller,
            killed::next_run,
        ),
        case(
            "a_file_that_is_mounted_by_itself_is_refused_before_the_first_probe",
            User::Root,
            mounted::file,
        ),
        case(
            "a_failing_call_is_named_with_its_file",
            User::Caller,
            errors::failing,
        ),
        case(
            "an_interrupted_call_is_repeated",
            User::Caller,
            errors::interrupted,
        ),
        case(
            "a_stream_that_cannot_be_stored_is_not_complete",
            User::Caller,
            errors::stream,
        ),
        case(
            "a_file_size_limit_is_named_with_its_remedy",
            User::Caller,
            errors::size_limit,
        ),
        case(
            "a_survey_is_resumed_after_calls_of_its_resume_failed",
            User::Caller,
            resumed::failing_calls,
        ),
        case(
            "a_survey_that_filled_the_disk_is_resumed_when_there_is_room",
            User::Root,
            resumed::full_disk,
        ),
        case(
            "a_survey_in_a_read_only_file_system_is_not_resumed_and_later_is",
            User::Root,
            resumed::read_only,
        ),
        case(
            "a_survey_in_a_folder_of_another_user_is_not_resumed_and_later_is",
            User::Ordinary,
            resumed::not_allowed,
        ),
        case(
            "a_second_resume_is_refused_and_the_first_goes_on",
            User::Caller,
            resumed::two_at_once,
        ),
    ])
}
